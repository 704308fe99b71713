//! What a Worker can do with a shell, on the scripted host.

use std::time::Duration;

use worker_guest::{
    Error, Failure, Turn, Worker,
    shell::{Ending, Piece, Ready, Script},
    testing::{TestOutcome, TestTurn},
    worker,
};

/// Defines a Worker with this body and runs it with a shell.
macro_rules! run {
    ($test:expr, |$turn:ident| $body:expr) => {{
        struct Tested;
        worker!(Tested);
        impl Worker for Tested {
            fn run($turn: Turn) -> Result<(), Failure> {
                $body
            }
        }
        let outcome: TestOutcome = $test.grant("shell").run::<Tested>();
        outcome
    }};
}

fn exited(code: u8) -> Piece {
    Piece::Ended(Ending::Exited(code))
}

#[test]
fn a_shell_that_is_not_granted_is_refused() {
    struct Tested;
    impl Worker for Tested {
        fn run(turn: Turn) -> Result<(), Failure> {
            assert_eq!(turn.shell().map(drop), Err(Error::NotGranted));
            Ok(())
        }
    }
    let outcome = TestTurn::text("").shell_says("never").run::<Tested>();
    assert_eq!((outcome.result, outcome.scripts.len()), (Ok(()), 0));
}

#[test]
fn a_script_carries_what_the_worker_built() {
    let outcome = run!(TestTurn::text("").shell_says("ok"), |turn| {
        let script = Script::new("echo $1 $A")
            .argument("x")
            .variable("A", "y")
            .directory("/workspace")
            .timeout(Duration::from_secs(3));
        let output = turn.shell()?.output(script, 9)?;
        assert_eq!((output.stdout.text().as_str(), output.ending), ("ok", Ending::Exited(0)));
        Ok(())
    });
    let ran = &outcome.scripts[0];
    assert_eq!(ran.script.arguments, ["x"]);
    assert_eq!(ran.script.environment, [("A".to_owned(), "y".to_owned())]);
    assert_eq!(ran.script.directory.as_deref(), Some("/workspace"));
    assert_eq!(ran.script.timeout, Some(Duration::from_secs(3)));
    assert!(ran.ended && ran.stdin_closed && ran.stdin.is_empty());
}

#[test]
fn pieces_come_in_order_and_nothing_after_the_end() {
    let test = TestTurn::text("").shell_gives([
        Piece::Stdout(b"a".into()),
        Piece::Other("{}".into()),
        Piece::Stderr(b"b".into()),
        exited(2),
        Piece::Stdout(b"never".into()),
    ]);
    let outcome = run!(test, |turn| {
        let mut shell = turn.shell()?;
        let mut running = shell.start("x")?;
        assert_eq!(running.by_ref().last(), Some(exited(2)));
        assert_eq!((running.next(), running.write(b"late")), (None, None));
        assert_eq!(running.ready(), Ready { to_take: true, to_write: true });
        Ok(())
    });
    assert_eq!(outcome.result, Ok(()));
}

#[test]
fn an_end_that_the_host_does_not_tell_is_no_success() {
    let outcome = run!(TestTurn::text("").shell_gives([Piece::Stdout(b"a".into())]), |turn| {
        let output = turn.shell()?.output("x", 9)?;
        assert!(matches!(output.ending, Ending::Other(_)), "{:?}", output.ending);
        Ok(())
    });
    assert_eq!(outcome.result, Ok(()));
}

#[test]
fn output_is_bounded_and_says_what_it_cut() {
    let pieces = [Piece::Stdout(vec![b'x'; 5000]), Piece::Stderr(b"short".into()), exited(1)];
    let outcome = run!(TestTurn::text("").shell_gives(pieces), |turn| {
        let output = turn.shell()?.output("x", 1000)?;
        assert_eq!((output.stdout.bytes().len(), output.stdout.cut()), (1000, 4000));
        assert_eq!((output.stderr.text().as_str(), output.stderr.cut()), ("short", 0));
        assert!(!output.ending.is_success());
        Ok(())
    });
    assert_eq!(outcome.result, Ok(()));
    assert!(outcome.scripts[0].ended, "it was read to its end all the same");
}

#[test]
fn a_script_that_is_dropped_is_cancelled() {
    let outcome = run!(TestTurn::text("").shell_says("a").shell_says("b"), |turn| {
        let mut shell = turn.shell()?;
        shell.start("first")?.next();
        shell.output("second", 9)?;
        Ok(())
    });
    let ended: Vec<bool> = outcome.scripts.iter().map(|ran| ran.ended).collect();
    assert_eq!(ended, [false, true]);
}

#[test]
fn a_large_input_and_its_output_do_not_wait_for_each_other() {
    let outcome = run!(TestTurn::text("").shell_copies_input(), |turn| {
        let input: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let output = turn.shell()?.output(Script::new("cat").input(input.clone()), usize::MAX)?;
        assert!(output.stdout.bytes() == input);
        Ok(())
    });
    assert_eq!(outcome.result, Ok(()));
    assert!(outcome.scripts[0].stdin_closed);
    assert_eq!(outcome.scripts[0].stdin.len(), 4_000_000);
}

#[test]
fn a_worker_may_write_while_it_reads() {
    let outcome = run!(TestTurn::text("").shell_copies_input(), |turn| {
        let mut shell = turn.shell()?;
        let mut running = shell.start(Script::new("cat").open_input())?;
        let input = vec![7; 300_000];
        let (mut written, mut read) = (0, 0);
        loop {
            let ready = running.ready();
            if ready.to_write && written < input.len() {
                written += running.write(&input[written..]).unwrap_or(0);
                if written == input.len() {
                    running.close_stdin();
                }
            } else {
                match running.next() {
                    Some(Piece::Stdout(bytes)) => read += bytes.len(),
                    Some(Piece::Ended(Ending::Exited(0))) => break,
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(read, input.len());
        Ok(())
    });
    assert_eq!(outcome.result, Ok(()));
}

#[test]
#[should_panic(expected = "the Worker waits for a script that waits for input")]
fn a_script_with_open_input_is_not_waited_for_in_vain() {
    let _ = run!(TestTurn::text("").shell_copies_input(), |turn| {
        turn.shell()?.output(Script::new("cat").open_input(), 9)?;
        Ok(())
    });
}

#[test]
fn a_closure_answers_every_script() {
    let mut count = 0;
    let test = TestTurn::text("").shell(move |script| {
        count += 1;
        vec![Piece::Stdout(format!("{count}: {}", script.text).into_bytes()), exited(0)]
    });
    let outcome = run!(test, |turn| {
        let mut shell = turn.shell()?;
        shell.output("a", 99)?;
        assert_eq!(shell.output("b", 99)?.stdout.text(), "2: b");
        Ok(())
    });
    assert_eq!(outcome.result, Ok(()));
}

#[test]
fn nothing_of_what_was_written_shows_in_debug() {
    let outcome = run!(TestTurn::text("").shell_says("secret"), |turn| {
        let output = turn.shell()?.output("x", 99)?;
        assert!(!format!("{output:?}").contains("secret"));
        Ok(())
    });
    assert_eq!(outcome.result, Ok(()));
}
