//! Components made to hurt whoever compiles or loads them, against a real compile helper: the
//! host lives, and what it says is typed.

use std::{borrow::Cow, error::Error as _};
#[cfg(target_os = "linux")]
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use worker_runtime::{Compiler, Runtime, RuntimeBuildError, error_chain};
use worker_types::{ComponentRef, CreateWorker, Limits, Outcome, RuntimeError};

use crate::{components::worker_with, harness::*};

/// The helper that the program `runtime-helper` is.
pub(crate) fn helper() -> Compiler {
    Compiler::helper(env!("CARGO_BIN_EXE_runtime-helper"), ["compile"])
}

/// The same helper, and where there is one, the same started by a launcher.
fn compilers() -> Vec<Compiler> {
    vec![
        helper(),
        #[cfg(target_os = "linux")]
        crate::launcher::compiler(),
    ]
}

/// A Runtime with one profile, `bad`, whose component is `bytes`.
pub(crate) async fn build(
    bytes: Vec<u8>,
    compiler: Compiler,
    limits: Limits,
) -> Result<Runtime, RuntimeBuildError> {
    let bad = ComponentRef::Builtin(name("bad"));
    Runtime::builder("test".parse().expect("a valid id"))
        .components([(bad, Cow::Owned(bytes))])
        .profiles([profile("bad")])
        .compiler(compiler)
        .limits(limits)
        .build()
        .await
}

/// Compiles `bytes` in the helper: the component loads, or this is why not.
async fn compile(bytes: Vec<u8>, limits: Limits) -> Result<Runtime, String> {
    compile_with(helper(), bytes, limits).await
}

async fn compile_with(
    compiler: Compiler,
    bytes: Vec<u8>,
    limits: Limits,
) -> Result<Runtime, String> {
    match build(bytes, compiler, limits).await {
        Ok(runtime) => Ok(runtime),
        Err(RuntimeBuildError::Profile {
            error: RuntimeError::InvalidComponent { reason },
            ..
        }) => Err(reason),
        Err(other) => panic!("{other:?}"),
    }
}

async fn refusal(bytes: Vec<u8>, limits: Limits) -> String {
    compile(bytes, limits).await.expect_err("nothing that can be loaded")
}

/// The host compiles and runs the next component as if nothing had happened.
async fn goes_on() {
    let runtime = compile(worker_with(1, 10), Limits::default()).await.expect("a good component");
    let id = worker(&runtime, "bad").await;
    assert_eq!(turn(&runtime, id, "x").await, Outcome::Completed);
}

/// Compiles each of `components`, some at a time. None may do worse than be refused.
async fn survive(components: Vec<Vec<u8>>) -> Tally {
    let compiling = components.into_iter().map(|bytes| compile(bytes, Limits::default()));
    let results: Vec<_> = stream::iter(compiling).buffer_unordered(4).collect().await;
    goes_on().await;
    Tally { loaded: results.iter().filter(|result| result.is_ok()).count(), of: results.len() }
}

#[derive(Debug)]
struct Tally {
    loaded: usize,
    of: usize,
}

/// Numbers that look random and are the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("it is below a usize")
    }
}

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).expect("seven bits");
        number >>= 7;
        bytes.push(if number == 0 { low } else { low | 0x80 });
        if number == 0 {
            return bytes;
        }
    }
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &leb(content.len()), content].concat()
}

/// A component with one core module, which has `count` functions of `(param i32) (result i32)`.
fn functions(count: usize, body: &[u8]) -> Vec<u8> {
    let types = section(1, &[1, 0x60, 1, 0x7f, 1, 0x7f]);
    let declared = section(3, &[leb(count), vec![0; count]].concat());
    let body = [&leb(body.len() + 2)[..], &[0], body, &[0x0b]].concat();
    let code = section(10, &[leb(count), body.repeat(count)].concat());
    [COMPONENT, &section(1, &[MODULE, &types, &declared, &code].concat())].concat()
}

/// A component whose one function, of 200,000 branches, takes the compiler minutes.
pub(crate) fn bomb() -> Vec<u8> {
    // local.get 0, then: block, local.get 0, br_if 0, local.get 0, i32.const 3, i32.add,
    // local.set 0, end
    let step = [0x02, 0x40, 0x20, 0, 0x0d, 0, 0x20, 0, 0x41, 3, 0x6a, 0x21, 0, 0x0b];
    functions(1, &[step.repeat(200_000), vec![0x20, 0]].concat())
}

/// A component that is mostly data, which the compiler copies several times.
fn much_data(bytes: usize) -> Vec<u8> {
    let memory = section(5, &[1, 0, 1]);
    let passive = [&[1, 1][..], &leb(bytes), &vec![0xa5; bytes]].concat();
    let module = [MODULE, &memory, &section(11, &passive)].concat();
    [COMPONENT, &section(1, &module)].concat()
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("valid text format")
}

#[tokio::test]
async fn random_bytes_are_refused() {
    let mut numbers = Numbers(1);
    let components = (0..100).map(|_| {
        let length = numbers.below(512);
        let noise = (0..length).flat_map(|_| numbers.next().to_le_bytes());
        // So that they are not refused for their first bytes.
        COMPONENT.iter().copied().chain(noise).collect()
    });
    let tally = survive(components.collect()).await;
    assert_eq!(tally.loaded, 0, "{tally:?}");
}

#[tokio::test]
async fn a_component_cut_anywhere_is_refused() {
    let (echo, small) = (builtin_workers::ECHO, worker_with(1, 10));
    let boundaries = section_ends(echo);
    let beside = boundaries.iter().flat_map(|boundary| [boundary - 1, boundary + 1]);
    let spread = (0..200).map(|part| part * echo.len() / 200);
    let cuts = beside.chain(spread).filter(|cut| *cut < echo.len() && !boundaries.contains(cut));
    let components = cuts.map(|cut| echo[..cut].to_vec());
    let small = (0..small.len())
        .filter(|cut| !section_ends(&small).contains(cut))
        .map(|cut| small[..cut].to_vec());
    let tally = survive(components.chain(small).collect()).await;
    assert!(tally.of > 500 && tally.loaded == 0, "{tally:?}");
}

#[tokio::test]
async fn a_component_cut_between_sections_loads_only_without_what_is_for_tools() {
    // These are well-formed, so the helper gets them. The last sections tell tools where the
    // component comes from, and a Worker works without them.
    let (echo, small) = (builtin_workers::ECHO, worker_with(1, 10));
    let cuts = |component: &[u8]| -> Vec<Vec<u8>> {
        section_ends(component).into_iter().map(|cut| component[..cut].to_vec()).collect()
    };
    let tally = survive(cuts(&small)).await;
    assert_eq!(tally.loaded, 2, "the whole, and the one without names: {tally:?}");
    let tally = survive(cuts(echo)).await;
    assert!(tally.of > 12 && tally.loaded < 6, "{tally:?}");
}

/// Where the sections of a component end, the outermost ones.
fn section_ends(component: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut at = COMPONENT.len();
    while at < component.len() {
        let mut length = 0;
        let mut shift = 0;
        loop {
            at += 1;
            length |= usize::from(component[at] & 0x7f) << shift;
            shift += 7;
            if component[at] & 0x80 == 0 {
                break;
            }
        }
        at += 1 + length;
        ends.push(at);
    }
    ends
}

#[tokio::test]
async fn a_component_with_a_flipped_bit_is_refused_or_loads() {
    let mut numbers = Numbers(2);
    let mut flipped = |component: &[u8]| {
        let mut component = component.to_vec();
        let at = numbers.below(component.len());
        component[at] ^= 1 << numbers.below(8);
        component
    };
    let small = worker_with(1, 10);
    let mut components: Vec<Vec<u8>> = (0..300).map(|_| flipped(&small)).collect();
    components.extend((0..12).map(|_| flipped(builtin_workers::ECHO)));
    let tally = survive(components).await;
    // Names and constants may change; most else may not.
    assert!(tally.loaded > 0 && tally.loaded < tally.of, "{tally:?}");
}

#[tokio::test]
async fn types_and_components_that_nest_deep_hurt_nobody() {
    let lists: String = (1..=98).map(|n| format!("(type $t{n} (list $t{}))", n - 1)).collect();
    let nested = format!(
        "(component (type $t0 (list u8)) {lists} (import \"deep\" (func (param \"x\" $t98))))"
    );
    let runtime = compile(wat(&nested), Limits::default()).await.expect("deep, and valid");
    let refused = runtime.create(CreateWorker::profile(name("bad"))).await;
    assert!(matches!(refused, Err(RuntimeError::MissingGrant { .. })), "{refused:?}");

    let pairs: String =
        (1..=90).map(|n| format!("(type $t{n} (tuple $t{0} $t{0}))", n - 1)).collect();
    let doubled = format!("(component (type $t0 (list u8)) {pairs})");
    let reason = refusal(wat(&doubled), Limits::default()).await;
    assert!(reason.contains("does not compile"), "{reason}");

    let dolls = |depth| {
        (1..depth).fold(COMPONENT.to_vec(), |inner, _| [COMPONENT, &section(4, &inner)].concat())
    };
    let reason = refusal(dolls(100), Limits::default()).await;
    assert!(reason.contains("does not export"), "{reason}");
    let reason = refusal(dolls(2_000), Limits::default()).await;
    assert!(reason.contains("more than 100 deep"), "{reason}");
    goes_on().await;
}

#[tokio::test]
async fn wide_types_and_many_functions_hurt_nobody() {
    let cases: String = (0..10_000).map(|n| format!("(case \"c{n}\" u32)")).collect();
    let variant = format!("(component (type (variant {cases})))");
    let reason = refusal(wat(&variant), Limits::default()).await;
    assert!(reason.contains("does not export"), "{reason}");

    // Without optimisation, compiling them takes minutes; it is not what this is about.
    let limits = Limits { compile_ms: 4_000, ..Limits::default() };
    let reason = refusal(functions(100_000, &[0x20, 0]), limits).await;
    let typed = ["does not export", "longer than the limit"];
    assert!(typed.iter().any(|typed| reason.contains(typed)), "{reason}");
    goes_on().await;
}

#[tokio::test]
async fn nested_instances_are_counted_before_anything_is_compiled() {
    let nested = |levels: u32| {
        let mut text = "(component (component $c0)".to_owned();
        for level in 1..=levels {
            let below = format!("(instance (instantiate $c{}))", level - 1);
            text += &format!("(component $c{level} {})", below.repeat(10));
        }
        wat(&(text + &format!("(instance (instantiate $c{levels})))")))
    };
    for levels in [6, 7, 10, 60] {
        // A helper that does not exist is not missed: nothing is compiled.
        let missing = Compiler::helper("/does/not/exist", ["compile"]);
        let refused = build(nested(levels), missing, Limits::default()).await;
        let Err(RuntimeBuildError::Profile { error, .. }) = refused else { panic!("{refused:?}") };
        assert!(error.to_string().contains("more than 1000 instances"), "{error}");
    }
    let reason = refusal(nested(2), Limits::default()).await;
    assert!(reason.contains("does not export"), "what is small enough is compiled: {reason}");
}

/// What the kernel tells of a process with `argument` on its command line, if there is one. One
/// that is dead and not waited for has no command line.
#[cfg(target_os = "linux")]
pub(crate) fn find(argument: &str) -> Option<PathBuf> {
    let processes = fs::read_dir("/proc").expect("processes");
    processes.flatten().map(|process| process.path()).find(|process| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|found| found == argument.as_bytes())
    })
}

/// How long a process has computed, in hundredths of a second.
#[cfg(target_os = "linux")]
pub(crate) fn computed_ticks(process: &Path) -> u64 {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    // After the name, which ends with the last parenthesis, it is the twelfth field.
    let field = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(11));
    field.and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

/// Waits until `happened`.
#[cfg(target_os = "linux")]
pub(crate) async fn wait_until(mut happened: impl FnMut() -> bool) {
    let look = async {
        let mut moments = tokio::time::interval(Duration::from_millis(2));
        while !happened() {
            moments.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("it happens");
}

#[cfg(target_os = "linux")]
#[tokio::test]
pub(crate) async fn compile_ms_ends_the_helper_that_takes_longer() {
    // An amount of memory that no other helper has finds this one among the processes.
    let limits =
        Limits { compile_ms: 400, compile_memory_bytes: (4 << 30) + 1, ..Limits::default() };
    let mark = limits.compile_memory_bytes.to_string();
    for compiler in compilers() {
        let (built, ()) = tokio::join!(
            compile_with(compiler, bomb(), limits.clone()),
            wait_until(|| find(&mark).is_some())
        );
        let reason = built.expect_err("it takes minutes");
        assert!(reason.contains("longer than the limit of 400 ms"), "{reason}");
        assert_eq!(find(&mark), None, "it is gone when the error is there");
    }
    goes_on().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
pub(crate) async fn compile_memory_bytes_ends_the_helper_that_takes_more() {
    let limits = Limits { compile_memory_bytes: (160 << 20) + 2, ..Limits::default() };
    let mark = limits.compile_memory_bytes.to_string();
    for compiler in compilers() {
        let good = compile_with(compiler.clone(), worker_with(1, 10), limits.clone()).await;
        assert!(good.is_ok(), "there is enough for a usual component: {good:?}");
        let (built, ()) = tokio::join!(
            compile_with(compiler, much_data(60 << 20), limits.clone()),
            wait_until(|| find(&mark).is_some())
        );
        let reason = built.expect_err("it is too much");
        assert!(reason.contains("more memory than the limit of 167772162 bytes"), "{reason}");
        assert_eq!(find(&mark), None);
    }
    goes_on().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn who_stops_waiting_for_a_runtime_ends_its_helper() {
    let limits = Limits { compile_memory_bytes: (4 << 30) + 3, ..Limits::default() };
    let mark = limits.compile_memory_bytes.to_string();
    for compiler in compilers() {
        let building = build(bomb(), compiler.clone(), limits.clone());
        // One that has not read everything would end by itself once its input does.
        let computes = || find(&mark).is_some_and(|process| computed_ticks(&process) >= 20);
        tokio::select! {
            built = building => panic!("{built:?}"),
            () = wait_until(computes) => {}
        }
        wait_until(|| find(&mark).is_none()).await;
    }
    goes_on().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_helper_limits_itself() {
    let limits =
        Limits { compile_ms: 90_000, compile_memory_bytes: (4 << 30) + 4, ..Limits::default() };
    let mark = limits.compile_memory_bytes.to_string();
    let expected = [
        format!("Max address space {mark} {mark} bytes"),
        "Max cpu time 90 91 seconds".to_owned(),
        "Max core file size 0 0 bytes".to_owned(),
    ];
    let limited = || {
        let found = find(&mark).and_then(|process| fs::read_to_string(process.join("limits")).ok());
        let found = found.unwrap_or_default();
        let lines: Vec<String> = found
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        expected.iter().all(|limit| lines.contains(limit))
    };
    for compiler in compilers() {
        tokio::select! {
            built = build(bomb(), compiler.clone(), limits.clone()) => panic!("{built:?}"),
            () = wait_until(limited) => {}
        }
        wait_until(|| find(&mark).is_none()).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_helper_that_nobody_ends_ends_when_it_has_computed_enough() {
    // One second of processor time, and patience for a minute.
    let impatient = "exec \"$0\" compile \"$1\" 1 \"$3\"";
    let program = env!("CARGO_BIN_EXE_runtime-helper");
    let compiler = Compiler::helper("/bin/sh", ["-c", impatient, program]);
    let built = build(bomb(), compiler, Limits::default()).await;
    let Err(RuntimeBuildError::Profile { error, .. }) = built else { panic!("{built:?}") };
    assert!(error.to_string().contains("longer than the limit"), "{error}");
}

/// Why nothing can be compiled.
async fn no_compiler(compiler: Compiler) -> String {
    match build(worker_with(1, 10), compiler, Limits::default()).await {
        Err(error @ RuntimeBuildError::Compiler { .. }) => error_chain(&error),
        other => panic!("{other:?}"),
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_helper_is_kept_from_memory_and_it_shows_where_a_compiler_is_not() {
    let is_limited =
        async |compiler: Compiler| compiler.is_memory_limited(&Limits::default()).await;
    for compiler in compilers() {
        assert!(is_limited(compiler).await.expect("it is tried"));
    }
    assert!(!is_limited(Compiler::in_process()).await.expect("it is tried"));
    let missing = is_limited(Compiler::helper("/does/not/exist", ["compile"])).await;
    assert!(missing.is_err(), "{missing:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_helper_that_is_none_is_no_fault_of_the_component() {
    let reason = no_compiler(Compiler::helper("/does/not/exist", ["compile"])).await;
    assert!(reason.contains("does not start"), "{reason}");
    assert!(!reason.contains("/does/not"), "a path of the host: {reason}");
    let reason = no_compiler(Compiler::helper("/bin/sh", ["-c", "exit 3"])).await;
    assert!(reason.contains("exit status: 3"), "{reason}");
    let other = "exec \"$0\" compile \"$1\" \"$2\" 00";
    let program = env!("CARGO_BIN_EXE_runtime-helper");
    let reason = no_compiler(Compiler::helper("/bin/sh", ["-c", other, program])).await;
    assert!(reason.contains("another version"), "{reason}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_helper_that_writes_without_end_is_cut_off() {
    let limits = Limits { compile_memory_bytes: 1 << 20, ..Limits::default() };
    let endless = Compiler::helper("/bin/sh", ["-c", "while :; do echo 0123456789; done"]);
    let built = build(worker_with(1, 10), endless, limits).await;
    assert!(matches!(built, Err(RuntimeBuildError::Profile { .. })), "{built:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_helper_gets_no_environment_and_no_file_that_the_host_opened() {
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "cargo sets it");
    let open = tempfile::NamedTempFile::new().expect("a file that stays open here");
    let tell = "env >&2; ls -l /proc/self/fd >&2; exit 65";
    let teller = Compiler::helper("/bin/sh", ["-c", tell]);
    let refused = build(worker_with(1, 10), teller, Limits::default()).await;
    let refused = refused.expect_err("refused with what it has");
    let said = error_chain(refused.source().expect("the reason"));
    assert!(said.contains("/proc/"), "it listed what it has: {said}");
    assert!(!said.contains("CARGO"), "{said}");
    let open = open.path().file_name().and_then(|name| name.to_str()).expect("a name");
    assert!(!said.contains(open), "{said}");
}

#[tokio::test]
async fn a_compiler_says_whether_it_works() {
    let limits = Limits::default();
    for compiler in compilers().into_iter().chain([Compiler::in_process()]) {
        compiler.check(&limits).await.expect("it compiles");
    }
    let missing = Compiler::helper("/does/not/exist", ["compile"]);
    assert!(missing.check(&limits).await.is_err());
}
