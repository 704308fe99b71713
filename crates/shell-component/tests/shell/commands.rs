//! Commands as GNU's.

use crate::support::{Shell, check, check_input};

#[test]
fn cat_shows_what_it_is_asked_to() {
    check("printf 'a\\n\\n\\nb\\t\\n' | cat -A", "a$\n$\n$\nb^I$\n");
    check("printf 'a\\n\\n\\nb' | cat -ns", "     1\ta\n     2\t\n     3\tb");
    check("printf 'a\\n\\nb\\n' | cat -b", "     1\ta\n\n     2\tb\n");
    let ran = Shell::new().run("cat none; echo $?; cat .; cat -X", "");
    assert_eq!(
        ran.errors,
        "cat: none: No such file or directory\ncat: .: Is a directory\ncat: invalid option -- 'X'\n\
         Try 'cat --help' for more information.\n"
    );
}

#[test]
fn head_and_tail_count_from_both_ends() {
    check("seq 20 | head -3; seq 20 | head -n -18; seq 5 | head -c 4", "1\n2\n3\n1\n2\n1\n2\n");
    check("seq 20 | tail -2; seq 5 | tail -n +4; seq 5 | tail -c 4", "19\n20\n4\n5\n4\n5\n");
    check(
        "seq 2 > a; seq 3 > b; head -1 a b; tail -qn1 a b",
        "==> a <==\n1\n\n==> b <==\n1\n2\n3\n",
    );
    check("printf 'a\\nb' | tail -1; printf 'a\\nb' | head -2", "ba\nb");
    check("seq 100000 | tail -n 1; seq 3 | head -0; seq 3 | tail -0", "100000\n");
}

#[test]
fn wc_has_columns_as_wide_as_they_need_to_be() {
    check(
        "printf 'a b\\nc\\n' > f; wc f; wc -l f; wc < f; cat f | wc -w",
        "2 3 6 f\n2 f\n      2       3       6\n3\n",
    );
    check(
        "printf 'äö\\n' | wc -m; printf 'ab\\n\\tc' | wc -L; seq 1 > a; seq 2 > b; wc -l a b",
        "3\n9\n1 a\n2 b\n3 total\n",
    );
}

#[test]
fn cut_takes_parts() {
    check(
        "echo a:b:c | cut -d: -f2,3; echo abcdef | cut -c2-3,5-; echo abc | cut -b-2",
        "b:c\nbcef\nab\n",
    );
    check(
        "echo a:b:c | cut -d: -f1,3 --output-delimiter=/; echo x | cut -d: -f2; echo x | cut -sd: -f2",
        "a/c\nx\n",
    );
    check("echo a:b:c:d | cut -d: --complement -f2", "a:c:d\n");
}

#[test]
fn sort_orders_by_keys() {
    check_input("sort -n", "10\n9\n-1\n1.5\n", "-1\n1.5\n9\n10\n");
    check_input("sort -t: -k2,2n -k1,1r", "a:2\nb:1\nc:2\n", "b:1\nc:2\na:2\n");
    check_input("sort -u", "b\na\nb\n", "a\nb\n");
    check_input("sort -rh", "1K\n1M\n2\n", "1M\n1K\n2\n");
    check_input("sort -V", "a10\na9\na1.2\n", "a1.2\na9\na10\n");
    check_input("sort -f", "b\nA\na\nB\n", "A\na\nB\nb\n");
    check_input("sort -c; echo $?", "b\na\n", "1\n");
    check_input("sort -o f; cat f; sort f -o f; cat f", "b\na\n", "a\nb\na\nb\n");
    check_input("sort -k2", "x  b\ny a\n", "x  b\ny a\n");
}

#[test]
fn uniq_counts_what_repeats() {
    check_input("uniq -c", "a\na\nb\n", "      2 a\n      1 b\n");
    check_input("uniq -d", "a\na\nb\n", "a\n");
    check_input("uniq -u", "a\na\nb\n", "b\n");
    check_input("uniq -D", "a\na\nb\n", "a\na\n");
    check_input("uniq -i; uniq < /dev/null", "a\nA\n", "a\n");
    check_input("uniq -f1", "1 a\n2 a\n", "1 a\n");
}

#[test]
fn grep_finds_what_it_is_asked_for() {
    check_input("grep -n b", "a\nb\nab\n", "2:b\n3:ab\n");
    check_input("grep -v b; echo $?", "a\nb\n", "a\n0\n");
    check_input("grep -c x; echo $?", "a\n", "0\n1\n");
    check_input("grep -o '[0-9]*'", "a12b3\n", "12\n3\n");
    check_input("grep -w foo", "foo bar\nfoobar\n", "foo bar\n");
    check_input("grep -x foo", "foo\nfoo \n", "foo\n");
    check_input("grep -E '(a|b){2}'", "ab\nac\n", "ab\n");
    check_input("grep '\\(a\\)\\1'", "aa\nab\n", "aa\n");
    check_input("grep -P '(?<=a)\\d'", "a1\nb1\n", "a1\n");
    check_input("grep -F -e a.b -e c", "a.b\naxb\nc\n", "a.b\nc\n");
    check_input("grep -A1 -B1 -n 3", "1\n2\n3\n4\n5\n", "2-2\n3:3\n4-4\n");
    check_input("grep -C1 -E '1|5'", "1\n2\n3\n4\n5\n", "1\n2\n--\n4\n5\n");
    check_input("grep -m1 a; cat", "a1\na2\n", "a1\na2\n");
    check_input("grep '[^a]' ", "a\n\nb\n", "b\n");
    check_input("grep ''", "a\n\nb", "a\n\nb\n");
    check_input("grep -q a && echo yes", "a\n", "yes\n");
}

#[test]
fn grep_searches_trees() {
    let mut shell = Shell::new();
    let ran = shell.run(
        "mkdir -p d/e .git; echo x > d/a.rs; echo x > d/e/b.txt; echo x > .git/c; \
         grep -r x --exclude-dir=.git; grep -rl x --include='*.rs' .; grep -rc x d; \
         printf 'x\\0' > bin; grep x bin; grep -L x d/a.rs bin; grep x d; echo $?",
        "",
    );
    assert_eq!(
        ran.output, "d/a.rs:x\nd/e/b.txt:x\n./d/a.rs\nd/a.rs:1\nd/e/b.txt:1\n2\n",
        "{}",
        ran.errors
    );
    assert_eq!(ran.errors, "grep: bin: binary file matches\ngrep: d: Is a directory\n");
}

#[test]
fn small_commands_do_what_they_are_for() {
    check(
        "seq 2 2 6; seq 3 -1 1; seq -s, 3; seq -w 8 10; seq 0.5 0.5 1.5",
        "2\n4\n6\n3\n2\n1\n1,2,3\n08\n09\n10\n0.5\n1.0\n1.5\n",
    );
    check("printf 'ab\\ncd\\n' | rev; printf '1\\n2\\n3' | tac", "ba\ndc\n32\n1\n");
    check(
        "printf 'a\\n\\nb\\n' | nl; printf 'a\\n' | nl -ba -w2 -s:",
        "     1\ta\n       \n     2\tb\n 1:a\n",
    );
    check("yes a b | head -1", "a b\n");
    check(
        "seq 3 | xargs echo; seq 4 | xargs -n2 echo; echo a | xargs -I{} echo {}{}",
        "1 2 3\n1 2\n3 4\naa\n",
    );
}

#[test]
fn usage_errors_have_the_codes_of_the_originals() {
    for (text, code) in [("cut", 1), ("grep", 2), ("sort -Q", 2), ("tr", 1), ("head -n x", 1)] {
        let ran = Shell::new().run(text, "");
        assert_eq!(ran.ending.code, code, "{text}: {}", ran.errors);
        assert_ne!(ran.errors, "");
    }
}
