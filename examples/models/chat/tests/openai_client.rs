//! OpenAI's own Python client against the real server with the real weights.
//!
//! The client comes from the Python package index, pinned with its hashes by
//! `openai_client.txt`, into an environment of its own below `target/`. Where there is no Python
//! or no index, this test fails: whoever runs it wants to know.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chat::{Settings, chat};
use serde_json::{Value, json};
use serve_core::prelude::*;

const TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");

/// Runs a command to its end, and gives what it wrote to its standard output.
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", output.status);
    String::from_utf8(output.stdout).expect("it writes text")
}

/// A Python that has the client, made when it is first wanted.
fn python() -> PathBuf {
    let requirements = Path::new(TESTS).join("openai_client.txt");
    let wanted = fs::read_to_string(&requirements).expect("it is there");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openai-client");
    let python = directory.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let installed = directory.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return python;
    }
    let system = if cfg!(windows) { "python" } else { "python3" };
    run(Command::new(system).args(["-m", "venv", "--clear"]).arg(&directory));
    let pip = "-m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
               --require-hashes -r";
    run(Command::new(&python).args(pip.split_whitespace()).arg(&requirements));
    fs::write(installed, wanted).expect("written");
    python
}

#[tokio::test(flavor = "multi_thread")]
async fn openais_own_client_is_at_home() -> Result<()> {
    let runtime = Runtime::builder().http(([127, 0, 0, 1], 0)).start().await?;
    runtime.run(chat(Settings::default())?).await?;
    let address = runtime.http_address().expect("HTTP was asked for");
    let talk = move || {
        let script = Path::new(TESTS).join("openai_client.py");
        run(Command::new(python()).arg(script).arg(format!("http://{address}/v1")))
    };
    let said = tokio::task::spawn_blocking(talk).await.expect("it does not panic");
    let said: Value = serde_json::from_str(&said).expect("one JSON object");

    assert_eq!(said["models"], json!(["smollm2-135m-instruct", "smollm2-135m-brief"]));
    assert_eq!(said["model"], "smollm2-135m-brief");

    let whole = &said["whole"];
    assert!(whole["text"].as_str().is_some_and(|text| !text.is_empty()), "{whole}");
    assert_eq!(whole["text"], whole["again"], "the seed is the same");
    assert_eq!(whole["role"], "assistant");
    assert!(["length", "stop"].map(Value::from).contains(&whole["finish"]), "{whole}");
    let counts =
        ["prompt_tokens", "completion_tokens", "total_tokens"].map(|of| whole[of].as_u64());
    let [Some(prompt), Some(answer), Some(total)] = counts else { panic!("{whole}") };
    assert!(prompt > 30 && (1..=6).contains(&answer) && prompt + answer == total, "{whole}");

    assert_eq!(said["conversation"], "smollm2-135m-brief");

    let stream = &said["stream"];
    assert_eq!((&stream["role"], &stream["ids"]), (&json!("assistant"), &json!(1)));
    for same in ["text", "finish", "completion_tokens"] {
        assert_eq!(stream[same], whole[same], "with and without a stream it is the same");
    }

    for (what, exception, status, code, param) in [
        ("no_model", "NotFoundError", 404, "model_not_found", "model"),
        ("wrong_model", "NotFoundError", 404, "model_not_found", "model"),
        ("wrong_type", "BadRequestError", 400, "invalid_type", "temperature"),
        ("wrong_value", "BadRequestError", 400, "invalid_value", "temperature"),
        ("two", "BadRequestError", 400, "unsupported_value", "n"),
        ("tools", "BadRequestError", 400, "unsupported_value", "tools"),
        ("unknown", "BadRequestError", 400, "unknown_parameter", "temprature"),
        ("too_long", "BadRequestError", 400, "context_length_exceeded", "messages"),
    ] {
        let failed = &said[what];
        assert_eq!(failed["exception"], exception, "{what}: {failed}");
        assert_eq!(failed["status"], status, "{what}: {failed}");
        assert_eq!((&failed["code"], &failed["param"]), (&json!(code), &json!(param)), "{what}");
    }

    assert_eq!(said["broken_off"], json!({"read": 4, "next": 1}));
    assert_eq!(said["given_up"], json!({"gone": {"exception": "APITimeoutError"}, "next": 1}));
    assert_eq!(said["deadline"]["status"], 408);
    assert_eq!(said["deadline"]["code"], "deadline_exceeded");
    assert_eq!(said["deadline_of_a_stream"]["code"], "deadline_exceeded");
    let several = said["several"].as_array().expect("a number for each");
    assert_eq!(several.len(), 5);
    assert!(several.iter().all(|chunks| chunks.as_u64().is_some_and(|n| n >= 2)), "{several:?}");
    runtime.shutdown().await;
    Ok(())
}
