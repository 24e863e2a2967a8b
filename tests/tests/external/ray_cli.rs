//! Ray Serve's own command line against the admin port.

use std::path::{Path, PathBuf};
use std::process::Command;

use serve_core::Runtime;

/// The directory of the repository.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Runs the script beside the comparison with Ray Serve, and returns what it prints.
async fn script(admin: String, token: &'static str) -> String {
    let root = repository();
    let ray = std::env::var_os("RAY").map_or_else(|| root.join("target/ray"), PathBuf::from);
    assert!(ray.join("bin/serve").exists(), "no Ray Serve in {}", ray.display());
    let run = move || {
        let peers = root.join("docs/peers");
        let mut command = Command::new(peers.join("ray_cli.sh"));
        command.arg(ray).arg(admin).arg(peers.join("ray_cli.yaml")).arg(token);
        command.output().expect("the script runs")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("it does not panic");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The sections of the script's output, by their commands.
fn sections(printed: &str) -> Vec<(&str, &str)> {
    let sections = printed.split("$ serve ").skip(1);
    sections.map(|section| section.split_once('\n').expect("a command and its output")).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Ray Serve; .ci/run installs it"]
async fn ray_serves_own_commands_work() {
    for token in ["", "sesame"] {
        let local = ([127, 0, 0, 1], 0);
        let mut builder = Runtime::builder().http(local).admin(local);
        if !token.is_empty() {
            builder = builder.admin_token(token);
        }
        let runtime = builder.start().await.expect("it starts");
        let admin = runtime.admin_address().expect("the port is open");
        let printed = script(format!("http://{admin}"), token).await;
        let sections = sections(&printed);
        let commands: Vec<&str> =
            sections.iter().map(|(command, _)| command.split(' ').next().unwrap_or("")).collect();
        assert_eq!(commands, ["deploy", "status", "config", "shutdown", "status"], "{printed}");
        for (command, output) in &sections {
            assert!(output.contains("exit code 0"), "{command}: {output}");
        }
        let [deploy, status, config, _, gone] = &sections[..] else { unreachable!() };
        assert!(deploy.1.contains("Sent deploy request successfully"), "{}", deploy.1);
        for said in ["status: RUNNING", "RUNNING: 4", "HEALTHY"] {
            assert!(status.1.contains(said), "{said}: {}", status.1);
        }
        for said in ["import_path: hello:language_classifier", "num_cpus: 0.25", "max_replicas: 3"]
        {
            assert!(config.1.contains(said), "{said}: {}", config.1);
        }
        assert!(gone.1.contains("applications: {}"), "{}", gone.1);
        runtime.shutdown().await;
    }
}
