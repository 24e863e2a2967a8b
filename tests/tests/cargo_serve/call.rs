//! `call`: one method, once, without HTTP.

use serve_tests::{Finished, Fixture};

fn call<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Finished {
    let library = Fixture::shared("library");
    let command = ["call", "greeter:spanish"].into_iter().chain(arguments);
    library.serve(command).finish()
}

#[test]
fn a_string_is_printed_plainly() {
    let finished = call(["greet", "name=Dora"]);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "Hola Dora!\n"), "{finished}");
    let json = call(["greet", "name=Dora", "--json"]);
    assert_eq!(json.stdout, "\"Hola Dora!\"\n");
}

#[test]
fn other_values_are_printed_as_json() {
    assert_eq!(call(["add", "a=40", "b=2"]).stdout, "{\"a\":40,\"b\":2,\"sum\":42}\n");
}

#[test]
fn a_stream_is_printed_line_by_line() {
    assert_eq!(call(["count", "to=3"]).stdout, "1\n2\n3\n");
}

#[test]
fn the_applications_own_argument_is_given_beside() {
    let library = Fixture::shared("library");
    let command = ["call", "greeter:greeter", "--with", "greeting=Hi", "greet", "name=Dora"];
    assert_eq!(library.serve(command).finish().stdout, "Hi Dora!\n");
}

#[test]
fn numbers_are_read_and_printed_as_over_http() {
    let library = Fixture::shared("library");
    let server = library.serve(["run", "greeter:numbers"]).start();
    let numbers = [
        ("single", "0.1"),
        ("single", "3.4028235e38"),
        ("single", "-1e-45"),
        ("double", "0.1"),
        ("double", "1.7976931348623157e308"),
        ("double", "5e-324"),
        ("double", "-0.0"),
        ("unsigned", "340282366920938463463374607431768211455"),
        ("signed", "-170141183460469231731687303715884105728"),
    ];
    for (method, number) in numbers {
        let value = format!("number={number}");
        let called = library.serve(["call", "greeter:numbers", method, &value]).finish();
        let over_http = server.get(&format!("/{method}?{value}"));
        assert_eq!(over_http.status, 200, "{over_http:?}");
        assert_eq!(
            called.stdout,
            format!("{}\n", over_http.body),
            "{method} of {number}: {called}"
        );
    }
    let extremes = r#"{"large":340282366920938463463374607431768211455,"small":-170141183460469231731687303715884105728,"tiny":5e-324,"tenth":0.1}"#;
    let value = format!("numbers={extremes}");
    let called = library.serve(["call", "greeter:numbers", "extremes", &value]).finish();
    assert_eq!(called.stdout, format!("{extremes}\n"), "{called}");
    let body = format!(r#"{{"numbers":{extremes}}}"#);
    let over_http = server.post("/extremes", &body);
    assert_eq!(over_http.body, extremes, "{over_http:?}");
}

#[test]
fn an_unknown_method_has_others() {
    insta::assert_snapshot!(call(["gret", "name=Dora"]), @"
    exit code: 9
    ----- stderr -----
    error[serve::method_not_found]: the ingress `Greeter` of the application `greeter:spanish` has no method `gret`
      help: did you mean `greet`? the ingress has
              greet(name: String) -> Result<String>
              add(a: i64, b: i64) -> Sum
              count(to: u32) -> impl Stream<Item = u32>
              fail() -> Result<String>
              sleep()
    ");
}

#[test]
fn an_argument_that_does_not_fit_is_named() {
    insta::assert_snapshot!(call(["add", "a=forty", "b=2"]), @"
    exit code: 6
    ----- stderr -----
    error[serve::bad_argument]: invalid arguments for the method `add`: `a`: invalid value `forty`, expected an integer
      help: its signature is `add(a: i64, b: i64) -> Sum`
    ");
    insta::assert_snapshot!(call(["greet"]), @"
    exit code: 6
    ----- stderr -----
    error[serve::bad_argument]: invalid arguments for the method `greet`: `name` is missing
      help: its signature is `greet(name: String) -> Result<String>`
    ");
    insta::assert_snapshot!(call(["greet", "nam=Dora"]), @"
    exit code: 6
    ----- stderr -----
    error[serve::bad_argument]: invalid arguments for the method `greet`: unknown parameter `nam`; did you mean `name`?
      help: its signature is `greet(name: String) -> Result<String>`
    ");
}

#[test]
fn an_error_of_the_method_is_shown() {
    insta::assert_snapshot!(call(["fail"]), @"
    exit code: 10
    ----- stderr -----
    error[serve::call_failed]: the call to `fail` failed
      caused by: cannot greet: the disk is full
    ");
}

#[test]
fn a_call_can_be_given_up() {
    insta::assert_snapshot!(call(["sleep", "--timeout", "100ms"]), @"
    exit code: 11
    ----- stderr -----
    now asleep
    error[serve::timed_out]: the call to `sleep` did not complete within 100ms
      help: `--timeout` sets the time to wait
    ");
}

#[test]
fn a_model_and_a_session_are_named() {
    let library = Fixture::shared("library");
    let command = ["call", "greeter:translator", "speak", "--model", "es", "--session", "Dora"];
    let finished = library.serve(command).finish();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "ES to Dora\n"), "{finished}");
}

#[test]
fn nothing_is_started_for_a_call_that_cannot_be_made() {
    let library = Fixture::shared("library");
    let finished = library.serve(["call", "greeter:translator", "speak", "to=Dora"]).finish();
    insta::assert_snapshot!(finished, @"
    exit code: 6
    ----- stderr -----
    error[serve::bad_argument]: invalid arguments for the method `speak`: unknown parameter `to`
      help: its signature is `speak() -> Result<String>`
    ");
}
