//! What one script leaves to the next.

use crate::support::Shell;

#[test]
fn variables_functions_and_options_are_kept() {
    let mut shell = Shell::new();
    let first = shell.run(
        "x=1; export e=2; a=(1 2); declare -A m=([k]=v); declare -i n=3; readonly r=4; \
         f() { echo f$1; }; shopt -s nullglob; set -o pipefail; set -u; mkdir d; cd d; alias l=ls; false",
        "",
    );
    assert_eq!(first.errors, "");
    assert!(first.ending.directory.ends_with("/d"));
    let second = shell.run(
        "echo $? $x $e ${a[1]} ${m[k]} $(f 5); n=1+1; echo $n; echo *.none; set -o | grep pipefail; \
         alias l; env | grep ^e=; r=5",
        "",
    );
    assert_eq!(
        second.output, "1 1 2 2 v f5\n2\n\npipefail       \ton\nalias l='ls'\ne=2\n",
        "{}",
        second.errors
    );
    assert!(second.errors.contains("readonly variable"), "{}", second.errors);
    assert!(shell.run("echo $undefined", "").errors.contains("unbound variable"));
}

#[test]
fn only_exit_ends_a_session() {
    for (text, exited, code) in [
        ("exit 3", true, 3),
        ("false", false, 1),
        ("(exit 4)", false, 4),
        ("x=$(exit 5); true", false, 0),
        ("f() { exit 6; }; f", true, 6),
        ("exit 7 # end", true, 7),
        ("cat <<E\nexit", false, 0),
    ] {
        let ending = Shell::new().run(text, "").ending;
        assert_eq!((ending.exited, ending.code), (exited, code), "{text}");
    }
}

#[test]
fn traces_show_only_what_the_script_says() {
    let mut shell = Shell::new();
    assert_eq!(
        shell.run("set -x; cat /dev/null | wc -l; false", "").errors,
        "+ cat /dev/null\n+ wc -l\n+ false\n"
    );
    assert_eq!(shell.run("true", "").errors, "+ true\n");
}

#[test]
fn traps_see_the_code_of_the_script() {
    let ran = Shell::new().run("trap 'echo bye $?' EXIT; false", "");
    assert_eq!((ran.output.as_str(), ran.ending.code), ("bye 1\n", 1));
}

#[test]
fn a_state_that_is_too_large_is_lost_with_a_message() {
    let mut shell = Shell::new();
    let ran = shell.run("x=$(head -c 2000000 /dev/zero | tr '\\0' a)", "");
    assert!(ran.ending.state.is_none());
    assert!(ran.errors.contains("what this script changed of them is lost"), "{}", ran.errors);
}

mod malformed {
    use std::sync::Arc;

    use proptest::prelude::*;
    use shell_component::{
        engine::{self, RunScriptError, Script, Streams},
        filesystem::World,
    };

    use crate::support::{Shell, Text};

    fn run(state: Vec<u8>) -> Result<u8, RunScriptError> {
        let script = Script { text: "echo $x".into(), state: Some(state), ..Script::default() };
        let streams = Streams {
            input: Box::new(Text(Vec::new())),
            output: Box::new(|_| Ok(())),
            errors: Box::new(|_| Ok(())),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let world = Arc::new(World::new([]));
        runtime.block_on(engine::run(script, world, Vec::new(), streams)).map(|ending| ending.code)
    }

    proptest! {
        #[test]
        fn no_state_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(matches!(run(bytes), Err(RunScriptError::State(_))));
        }

        #[test]
        fn no_changed_state_panics(at in 0usize..600, byte in any::<u8>()) {
            let mut state = Shell::new().run("x=1; f() { echo hi; }", "").ending.state.unwrap();
            let at = at % state.len();
            state[at] = byte;
            let _ = run(state);
        }
    }
}
