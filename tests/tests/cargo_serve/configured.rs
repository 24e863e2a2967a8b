//! A configuration of two packages: it is run, and changed from the command line while it serves.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serve_tests::{Finished, Fixture, Server, request};

/// A running configuration, and the commands that change it.
struct Instance {
    fixture: Fixture,
    server: Server,
    admin: String,
}

impl Instance {
    fn start(fixture: Fixture) -> Self {
        let mut server = fixture.serve(["run", "serve.yaml"]).begin();
        server.wait_until_up();
        let admin = server.wait_for("admin   http://");
        let admin = admin.split_once("http://").expect("an address").1.to_owned();
        Self { fixture, server, admin }
    }

    /// Runs a command that ends with this exit code.
    fn ends(&self, arguments: &[&str], code: i32) -> Finished {
        let command = self.fixture.serve(arguments.iter().copied());
        let finished = command.env("SERVE_ADDRESS", &self.admin).finish();
        assert_eq!(finished.code, Some(code), "{arguments:?}: {finished}");
        finished
    }

    fn says(&self, path: &str) -> String {
        self.server.get(path).body
    }
}

/// Requests that threads make one after the other.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Ledger>>,
}

/// The requests of a thread, and the answers that were not expected.
#[derive(Debug, Default)]
struct Ledger {
    sent: usize,
    answered: usize,
    unexpected: String,
}

impl Load {
    /// Starts two threads for each path, which expect one of some bodies.
    fn start(address: SocketAddr, expected: &[(&'static str, &'static [&'static str])]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let each = expected.iter().flat_map(|path| [*path; 2]);
        let threads = each.map(|(path, bodies)| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let mut ledger = Ledger::default();
                while !stop.load(Ordering::Relaxed) {
                    ledger.sent += 1;
                    let answer = request(address, "GET", path, "");
                    if answer.status == 200 && bodies.contains(&&*answer.body) {
                        ledger.answered += 1;
                    } else {
                        let _ = writeln!(ledger.unexpected, "{path}: {answer:?}");
                    }
                    thread::park_timeout(Duration::from_millis(5));
                }
                ledger
            })
        });
        let threads = threads.collect();
        Self { stop, threads }
    }

    /// Stops, and returns the number of requests, all of which were answered as expected.
    fn count(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let ledgers = self.threads.into_iter().map(|thread| thread.join().expect("an answer"));
        let mut sent = 0;
        for ledger in ledgers {
            assert_eq!(ledger.answered, ledger.sent, "{}", ledger.unexpected);
            sent += ledger.sent;
        }
        sent
    }
}

#[test]
fn a_configuration_of_two_packages_is_changed_while_it_serves() {
    let mut instance = Instance::start(Fixture::new("configured"));
    assert_eq!(instance.says("/shop/greet?name=Dora"), "[Hello Dora]");
    assert_eq!(instance.says("/mood/favourite"), "calm");
    let status = instance.ends(&["status"], 0);
    insta::assert_snapshot!(status.stdout, @r"
    mood  RUNNING  at /mood  declarative
      Judge  HEALTHY       1/1 replicas run
    shop  RUNNING  at /shop  declarative
      Counter  HEALTHY       1/1 replicas run
      Wrapper  HEALTHY       1/1 replicas run
    ");
    instance.ends(&["diff", "serve.yaml"], 0);
    let load = Load::start(
        instance.server.address(),
        &[
            ("/shop/greet?name=Dora", &["[Hello Dora]", "[Good day Dora]"]),
            ("/mood/favourite", &["calm", "cheerful"]),
        ],
    );

    // A number of replicas and a user config: nothing restarts.
    instance.fixture.edit("serve.yaml", "num_replicas: 1", "num_replicas: 3");
    instance.fixture.edit("serve.yaml", "favourite: calm", "favourite: cheerful");
    let diff = instance.ends(&["diff", "serve.yaml"], 16);
    insta::assert_snapshot!(diff.stdout, @r#"
    ~ shop / Wrapper  changes in place
        num_replicas: 1 -> 3
    ~ mood / Judge  takes a user config, without a restart
        user_config.favourite: "calm" -> "cheerful"
    "#);
    instance.ends(&["deploy", "serve.yaml"], 0);
    instance.ends(&["diff", "serve.yaml"], 0);
    assert_eq!(instance.says("/mood/favourite"), "cheerful");
    let status = instance.ends(&["status", "shop"], 0);
    assert!(status.stdout.contains("3/3 replicas run"), "{status}");

    // An argument of a constructor: one deployment replaces its replicas.
    instance.fixture.edit("serve.yaml", "greeting: Hello", "greeting: Good day");
    let diff = instance.ends(&["diff", "serve.yaml"], 16);
    insta::assert_snapshot!(diff.stdout, @r#"
    ~ shop / Counter  replaces its replicas, a few at a time
        args.greeting: "Hello" -> "Good day"
    "#);
    instance.ends(&["deploy", "serve.yaml"], 0);
    assert_eq!(instance.says("/shop/greet?name=Dora"), "[Good day Dora]");

    // A version that does not start: the version before serves.
    instance.fixture.edit("serve.yaml", "greeting: Good day", "greeting: ''");
    let failed = instance.ends(&["deploy", "serve.yaml"], 7);
    assert!(failed.stderr.contains("there is no greeting"), "{failed}");
    let status = instance.ends(&["status"], 14);
    assert!(status.stdout.contains("shop  DEPLOY_FAILED"), "{status}");
    assert!(status.stdout.contains("there is no greeting"), "{status}");
    assert_eq!(instance.says("/shop/greet?name=Dora"), "[Good day Dora]");

    // A file that the program refuses, for an argument that serde would ignore: nothing is changed.
    instance.fixture.edit("serve.yaml", "greeting: ''", "greeting: Hi, greting: Hello");
    let refused = instance.ends(&["deploy", "serve.yaml"], 7);
    let fault =
        "serve.yaml:5:27: applications[0].args.greting: unknown argument; did you mean `greeting`?";
    assert!(refused.stderr.contains(fault), "{refused}");
    assert_eq!(instance.says("/shop/greet?name=Dora"), "[Good day Dora]");

    instance.ends(&["rollback"], 0);
    instance.ends(&["status"], 0);
    assert_eq!(instance.says("/shop/greet?name=Dora"), "[Good day Dora]");
    let requests = load.count();
    println!("{requests} requests, all answered");
    assert!(requests > 20, "{requests}");

    // The program for production, which knows both packages. A file is never replaced.
    instance.fixture.edit("serve.yaml", "greeting: Hi, greting: Hello", "greeting: Hello");
    instance.ends(&["build", "serve.yaml", "-o", "server"], 0);
    let validated = Command::new(instance.fixture.path("server"))
        .args(["validate", "serve.yaml"])
        .current_dir(instance.fixture.directory())
        .output()
        .expect("the program can be run");
    assert!(validated.status.success(), "{validated:?}");
    instance.ends(&["build", "mood", "--config", "serve.yaml"], 12);

    instance.ends(&["shutdown"], 0);
    let status = instance.server.wait();
    assert!(status.success(), "{status}: {}", instance.server.said());
    instance.ends(&["status"], 15);
}
