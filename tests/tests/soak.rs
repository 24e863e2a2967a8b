//! The soak: for some seconds with all other tests, and for a minute by name.

use std::process::Command;

fn soak(seconds: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_soak"));
    command.args(["--seconds", seconds]);
    command
}

#[test]
fn some_seconds_of_everything_leave_nothing_behind() {
    let output = soak("6").output().expect("the soak can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "it takes more than a minute; CI runs it by name"]
fn a_minute_of_everything_leaves_nothing_behind() {
    assert!(soak("60").status().expect("the soak can be run").success());
}
