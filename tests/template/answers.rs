//! Where answers come from, and which are refused.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use crate::{
    assert_success, cargo_command, cargo_generate, files_below, generate, read, root, said,
    scratch, template, tracked, unindented,
};

#[test]
fn answers_are_taken_from_every_source() {
    let folder = scratch("sources");
    let values = folder.join("values.toml");
    fs::write(
        &values,
        "[values]\ncookie_name = \"from-file\"\nsession_max_age = \"2h\"\n",
    )
    .unwrap();
    let output = cargo_generate(template(), &folder, "sourced")
        .args(["-d", "same_site=Strict"])
        .arg("--template-values-file")
        .arg(&values)
        .env("CARGO_GENERATE_VALUE_LOGIN_REDIRECT", "/from/env")
        .output()
        .unwrap();
    assert_success(&output);
    let defaults = fs::read_to_string(folder.join("sourced/src/defaults.rs")).unwrap();
    for chosen in [
        r#"cookie_name("from-file")"#,
        r#"max_age("2h")"#,
        r#"same_site("Strict")"#,
        r#"login_redirect("/from/env")"#,
        r#"logout_redirect("/")"#,
    ] {
        assert!(defaults.contains(chosen), "{chosen} is not in {defaults}");
    }
}

#[test]
fn an_answer_outside_its_rule_stops_with_one_sentence_and_leaves_no_file() {
    let folder = scratch("refused-answers");
    let template = the_rules_alone();
    let file = scratch("refused-values").join("values.toml");
    for Rule {
        key,
        rule,
        refused,
        refused_by_name,
        ..
    } in RULES
    {
        for value in refused.iter().chain(refused_by_name) {
            let mut command = cargo_generate(&template, &folder, "refused");
            // `-d` cuts what is blank in front, and takes no second line.
            if value.starts_with(char::is_whitespace) || value.contains(['\n', '\0']) {
                let escaped: String = value
                    .chars()
                    .map(|c| format!("\\U{:08X}", u32::from(c)))
                    .collect();
                fs::write(&file, format!("[values]\n{key} = \"{escaped}\"\n")).unwrap();
                command.arg("--template-values-file").arg(&file);
            } else {
                command.args(["-d", &format!("{key}={value}")]);
            }
            let said = refusal(&mut command);
            let sentence = sentence(key, value, rule);
            assert_eq!(said.matches(&sentence).count(), 1, "{sentence:?} in {said}");
            let left = files_below(&folder.join("refused"));
            assert!(left.is_empty(), "{key}={value:?} leaves {left:?}");
            fs::remove_dir(folder.join("refused")).unwrap();
        }
    }
}

#[test]
fn a_name_that_cannot_build_is_refused_before_anything_is_written() {
    let folder = scratch("refused-names");
    for (rule, names) in REFUSED_NAMES {
        for name in names {
            let said = refusal(&mut cargo_generate(template(), &folder, name));
            // cargo-generate has made it lowercase.
            let sentence = sentence("project-name", &name.to_lowercase(), rule);
            assert_eq!(said.matches(&sentence).count(), 1, "{sentence:?} in {said}");
            let left = fs::read_dir(&folder).unwrap().count();
            assert_eq!(left, 0, "{name:?} leaves something");
        }
    }
}

#[test]
fn a_constant_outside_its_rule_does_not_compile_and_says_the_rule() {
    let project = generate("edited", &[]);
    let mut constants = fs::read_to_string(project.join("src/defaults.rs")).unwrap();
    let mut expected = BTreeMap::<_, usize>::new();
    for rule in RULES {
        let (key, function) = (rule.key.to_uppercase(), rule.function);
        let refused = rule.refused.iter().chain(rule.refused_by_name);
        for (nth, value) in refused.enumerate() {
            constants +=
                &format!("const BAD_{key}_{nth}: () = {{ rules::{function}({value:?}); }};\n");
            *expected.entry(rule.panic).or_default() += 1;
        }
    }
    fs::write(project.join("src/defaults.rs"), constants).unwrap();
    let said = refusal(&mut cargo_command(&project, &["build", "--lib"]));
    for (panic, expected) in expected {
        let panic = format!("evaluation panicked: {panic}\n");
        assert_eq!(said.matches(&panic).count(), expected, "{panic} in {said}");
    }
}

/// The template without what is only copied: a refusal takes a third of the time.
fn the_rules_alone() -> PathBuf {
    let folder = scratch("rules");
    fs::create_dir_all(folder.join(".template/src")).unwrap();
    fs::create_dir(folder.join("src")).unwrap();
    let below = tracked(root());
    let below = below.iter().filter(|path| path.starts_with(".template/"));
    for path in below.map(String::as_str).chain(["cargo-generate.toml"]) {
        fs::write(folder.join(path), read(path)).unwrap();
    }
    folder
}

/// What a command that must fail says about it.
fn refusal(command: &mut Command) -> String {
    // A backtrace takes longer than the refusal.
    let output = command.env("RUST_BACKTRACE", "0").output().unwrap();
    assert!(!output.status.success(), "{command:?} succeeds");
    let said = said(&output);
    assert!(!said.contains("in call to function"), "{said}");
    said
}

/// The sentence as cargo-generate shows it.
fn sentence(key: &str, value: &str, rule: &str) -> String {
    unindented(&format!(
        "Runtime error: {key} = \"{value}\" is refused: {rule}. (line "
    ))
}

/// A placeholder, what its rule is called in a refusal and in the code, and what it refuses.
struct Rule {
    key: &'static str,
    rule: &'static str,
    function: &'static str,
    panic: &'static str,
    refused: &'static [&'static str],
    refused_by_name: &'static [&'static str],
}

const RULES: [Rule; 5] = [
    Rule {
        key: "cookie_name",
        rule: "letters, digits, - _ . and a start with a letter, __Host- or __Secure- (in this casing); \
               at most 64 bytes",
        function: "cookie_name",
        panic: "COOKIE_NAME: letters, digits, `-`, `_` and `.`; starts with a letter, or with exactly \
                `__Host-` or `__Secure-`; at most 64 bytes",
        refused: BAD_COOKIE_NAMES,
        refused_by_name: &[],
    },
    Rule {
        key: "session_max_age",
        rule: "a whole number and a unit, m, h or d; at least 1 minute, at most 400 days",
        function: "max_age",
        panic: "SESSION_MAX_AGE: a whole number and a unit, `m`, `h` or `d`; at least 1 minute, at most \
                400 days",
        refused: BAD_MAX_AGES,
        refused_by_name: &[],
    },
    Rule {
        key: "same_site",
        rule: "Lax, Strict or None",
        function: "same_site",
        panic: "SAME_SITE: `Lax`, `Strict` or `None`",
        refused: BAD_SAME_SITES,
        refused_by_name: &[],
    },
    Rule {
        key: "login_redirect",
        rule: "one `/`, then segments of letters, digits, _ ~ . - and no `.` or `..` segment, no `//`, no query; \
               not /login, /logout or /healthz",
        function: "login_redirect",
        panic: "LOGIN_REDIRECT: one `/`, then segments of letters, digits, `_`, `~`, `.`, `-`; no `.` or \
                `..` segment, no `//`, no query; not `/login`, `/logout` or `/healthz`",
        refused: BAD_PATHS,
        refused_by_name: &["/login"],
    },
    Rule {
        key: "logout_redirect",
        rule: "one `/`, then segments of letters, digits, _ ~ . - and no `.` or `..` segment, no `//`, no query; \
               not /logout, /healthz or /me",
        function: "logout_redirect",
        panic: "LOGOUT_REDIRECT: one `/`, then segments of letters, digits, `_`, `~`, `.`, `-`; no `.` or \
                `..` segment, no `//`, no query; not `/me`, `/logout` or `/healthz`",
        refused: BAD_PATHS,
        refused_by_name: &["/me"],
    },
];

#[rustfmt::skip] // By what is wrong, not by length.
const BAD_COOKIE_NAMES: &[&str] = &[
    // Nothing, or nothing to start with.
    "", " ", "_", "_s", "__s", "9s", "-s", ".s", " s", "\ts", "\ns",
    // Almost a prefix: browsers take any casing for one.
    "__host-id", "__HOST-id", "__hOST-id", "__secure-id", "__SECURE-id", "__Host", "__Host_id", "__Hostid",
    "__Secure", "__Secure.id", "__Http-id", "_Host-id", "___Host-id",
    // Rust.
    "a\"b", "a\\b", "a\\\"b", "a\\u{62}", "a\"); panic!(\"", "a\"#b", "a//b", "a/*b*/", "a'b",
    // TOML.
    "a\"\nb = \"c", "\"\"\"a", "[a]", "a#b",
    // HTML.
    "<script>alert(1)</script>", "a<b", "a>b", "a&amp;b",
    // Headers.
    "a=b", "a;b", "a; Path=/x", "a,b", "a b", "a ", "a:b", "a(b)", "a@b", "a%62", "a\tb", "a\rb", "a\n", "a\nb",
    "a\r\nSet-Cookie: b=c", "a\0b", "a\u{7f}b",
    // Liquid.
    "{{a}}", "{{ project-name }}", "a{% raw %}", "a{%- comment -%}", "a{{", "a}}", "a{", "a|upcase",
    // Beyond ASCII: an accent, two look-alikes, and what cannot be seen.
    "sé", "se\u{301}", "ѕession", "ｓession", "__Host\u{2011}id", "session\u{200b}", "\u{feff}session", "a\u{202e}b", "a\u{a0}",
    // 65 bytes, and 64 characters in 65 bytes.
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "__Host-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "éaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

#[rustfmt::skip] // See above.
const BAD_MAX_AGES: &[&str] = &[
    // Nothing, or half of it.
    "", " ", "m", "d", "7", "0",
    // Out of range, also where a machine's number would wrap around to one within.
    "0m", "00h", "0d", "401d", "9601h", "576001m", "1000000m", "99999999999999999999999d",
    "18446744073709551617d", "307445734561825861m", "4294967297d",
    // Another unit, another order, two of them.
    "60s", "1000ms", "1w", "1y", "1M", "7D", "7H", "7dd", "7dm", "d7", "7h30m", "PT7H", "7days", "7 d", " 7d", "7d ",
    "\t7d", "\n7d", "7d\n",
    // Not a whole number.
    "-7d", "+7d", "1.5h", "1,5h", "1_0m", "1e3m", "0x7d", "1/2h", "--7d",
    // Rust, TOML, HTML, headers.
    "7d\"", "7d\\", "7d\\u{64}", "7d\"); //", "7d\"\nx = \"", "7d#", "<b>7d</b>", "7d;Path=/x", "7d\r\nA: b", "7\0d", "7d\0",
    // Liquid.
    "{{7}}d", "{{ session_max_age }}", "7d{% raw %}", "7{{d",
    // Beyond ASCII: other digits, other letters, a minus, a blank.
    "٧d", "７d", "7ｄ", "7ԁ", "−7d", "7\u{a0}d", "7d\u{200b}", "²d",
];

#[rustfmt::skip] // See above.
const BAD_SAME_SITES: &[&str] = &[
    // Nothing, too little, too much, something else.
    "", " ", "L", "La", "Laxx", "LaxStrict", "Lax,Strict", "Secure", "true", "0", "Default",
    // Another casing.
    "lax", "LAX", "LaX", "strict", "STRICT", "none", "NONE",
    // Blank.
    "Lax ", " Lax", "\tLax", "Lax\n", "\nNone", "Lax\0",
    // Rust, TOML, HTML, headers.
    "Lax\"", "\"Lax\"", "'Lax'", "Lax\\", "\\u{4c}ax", "SameSite::Lax", "Lax\"); //", "Lax\"\nx = \"", "Lax#",
    "<b>Lax</b>", "Lax;", "None; Partitioned", "Lax\r\nA: b",
    // Liquid.
    "{{Lax}}", "{{ same_site }}", "Lax{% raw %}",
    // Beyond ASCII.
    "Lаx", "Ｌax", "Stri\u{441}t", "Lax\u{200b}", "\u{feff}Lax", "N\u{3bf}ne",
];

#[rustfmt::skip] // See above.
const BAD_PATHS: &[&str] = &[
    // Nothing, or no path of this site.
    "", " ", "me", "~", "//", "///", "//evil.example", "/\\evil.example", "\\\\evil.example", "\\/evil.example",
    "https://evil.example", "https:/evil.example", "/https://evil.example", "javascript:alert(1)", "//localhost/me",
    // Segments that browsers resolve, or that are empty.
    ".", "..", "./a", "../a", "/.", "/..", "/./a", "/../a", "/a/.", "/a/..", "/a/./b", "/a/../b", "/../..", "/./",
    "/a/", "/a//b", "/a//", "/me/",
    // More than a path.
    "/?", "/?a", "/a?b", "/a?next=/b", "/#", "/a#b", "/a;b", "/a:b", "/a@b", "/a,b", "/a+b", "/a&b", "/a=b", "/a!b",
    "/a$b", "/a(b)",
    // Encoded.
    "/a%2f", "/%2e%2e", "/%2F%2Fevil.example", "/a%0d%0aX", "/%",
    // What a router would read a variable into.
    "/{a}", "/{*a}", "/*a", "/*", "/:a",
    // Paths of the app that have no page.
    "/logout", "/healthz", "/@style.css",
    // Rust.
    "/a\"b", "/a\\b", "/a\\", "/a\\u{62}", "/a\"); panic!(\"", "/a'b",
    // TOML.
    "/a\"\nb = \"c", "/[a]",
    // HTML and Markdown.
    "/<script>alert(1)</script>", "/a\" onload=\"b", "/a>b", "/a`b", "/a|b",
    // Headers.
    "/a b", "/a ", " /a", "\t/a", "\n/a", "/a\n", "/a\tb", "/a\rb", "/a\r\nSet-Cookie: b=c", "/a\0b", "/a\u{7f}b",
    // Liquid.
    "/{{a}}", "/{{ login_redirect }}", "/a{{", "/a{% raw %}", "/a}",
    // Beyond ASCII.
    "/é", "／me", "/ｍe", "/mе", "/a\u{2215}b", "/\u{2024}\u{2024}/a", "/．．/a", "/a\u{200b}", "/a\u{a0}", "/a\u{202e}b",
];

const NAME_RULE: &str = "lowercase letters, digits, - and _, after a letter; at most 64";
const KEPT: &str = "Rust, Cargo or Windows keeps this name for itself";
const CRATE: &str = "the app is built from a crate of this name";

#[rustfmt::skip] // See above.
const REFUSED_NAMES: [(&str, &[&str]); 3] = [
    // What else could be wrong with a name, cargo-generate has cut or made a dash.
    (NAME_RULE, &[
        "", "9lives", "1", "héllo", "арр", "ａpp",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ]),
    (KEPT, &["test", "std", "self", "Self", "async", "build", "deps", "proc-macro", "con", "nul", "com1"]),
    (CRATE, &["axum", "tower_http", "tower-http", "Tokio", "proptest", "cookie"]),
];
