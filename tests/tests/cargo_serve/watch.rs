//! `run --watch`: the program follows its source.

use serve_tests::Fixture;

#[test]
fn a_change_is_built_and_takes_over() {
    let library = Fixture::new("library");
    let mut server = library.serve(["run", "greeter:spanish", "--watch"]).start();
    assert_eq!(server.get("/?name=Dora").body, "Hola Dora!");

    library.edit("src/lib.rs", "\"Hola\"", "\"¡Hola,\"");
    server.wait_for("Changed src/lib.rs");
    server.wait_until_up();
    assert_eq!(server.get("/?name=Dora").body, "¡Hola, Dora!");

    // What does not compile leaves the last good program alone.
    library.edit("src/lib.rs", "\"¡Hola,\"", "Hola");
    server.wait_for("the last good build goes on");
    assert_eq!(server.get("/?name=Dora").body, "¡Hola, Dora!");

    library.edit("src/lib.rs", "Hola, 1_usize", "\"Hola\", 1_usize");
    server.wait_until_up();
    assert_eq!(server.get("/?name=Dora").body, "Hola Dora!");

    let status = server.stop();
    assert!(status.success(), "{status}:\n{}", server.said());
}

#[test]
fn what_the_program_writes_is_no_change() {
    let library = Fixture::new("library");
    let mut server = library.serve(["run", "greeter:spanish", "--watch"]).start();
    std::fs::write(library.path("requests.log"), "one").expect("written");
    std::fs::write(library.path("src/.lib.rs.swp"), "editing").expect("written");
    // A real change comes after those, and is the first that is noticed.
    library.edit("Cargo.toml", "# A package", "# Still a package");
    let changed = server.wait_for("Changed");
    assert!(changed.contains("Cargo.toml"), "{changed}");
    assert_eq!(server.get("/?name=Dora").status, 200, "an unchanged program goes on");
    assert!(server.stop().success());
}
