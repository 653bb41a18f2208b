//! The template: what it generates, and what it refuses.
//!
//! Runs the real `cargo generate`, and installs it below `target` where there is none. Stays behind
//! when a project is generated.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

/// The version this template is tested against.
const CARGO_GENERATE: &str = "0.23.14";

/// Set to rewrite the files that follow from others.
const BLESS: &str = "BLESS";

const NAME: &str = env!("CARGO_PKG_NAME");

/// What stays behind.
const TEMPLATE_ONLY: [&str; 9] = [
    ".ci/",
    ".github/workflows/template.yml",
    "Cargo.lock.liquid",
    "LICENSE-",
    "README.md.liquid",
    "cargo-generate.",
    "src/defaults.rs.liquid",
    "tests/template.rs",
    "Cargo.toml.liquid",
];

#[test]
fn derived_files_follow_from_the_live_ones() {
    let lock = read("Cargo.lock");
    let derived = [
        ("Cargo.toml.liquid", manifest_twin(&read("Cargo.toml"))),
        ("Cargo.lock.liquid", lock_twin(&lock)),
        (
            "cargo-generate.rhai",
            with_dependencies(&read("cargo-generate.rhai"), &lock),
        ),
    ];
    for (path, expected) in derived {
        if env::var_os(BLESS).is_some() {
            fs::write(root().join(path), expected).unwrap();
        } else {
            assert!(
                fs::read_to_string(root().join(path)).is_ok_and(|found| found == expected),
                "{path} is behind: run `{BLESS}=1 cargo test --test template` and commit it"
            );
        }
    }
}

#[test]
fn the_defaults_give_back_the_app_byte_for_byte() {
    let project = generate("same-app", &[]);
    let mut expected: BTreeMap<String, Vec<u8>> = tracked(root())
        .into_iter()
        .filter(|path| !TEMPLATE_ONLY.iter().any(|left| path.starts_with(left)))
        .map(|path| (path.clone(), fs::read(root().join(&path)).unwrap()))
        .collect();
    expected.insert(
        "README.md".into(),
        rendered(&read("README.md.liquid"), "same-app").into(),
    );
    expected.insert(
        "Cargo.toml".into(),
        rendered(&read("Cargo.toml.liquid"), "same-app").into(),
    );
    expected.insert("Cargo.lock".into(), lock_of("same-app").into());

    let found: BTreeMap<String, Vec<u8>> = files_below(&project)
        .into_iter()
        .map(|path| (path.clone(), fs::read(project.join(&path)).unwrap()))
        .collect();
    let paths = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(&found), paths(&expected));
    for (path, bytes) in &expected {
        assert!(found[path] == *bytes, "{path} differs from the app's own");
    }
}

#[test]
fn a_generated_project_has_no_trace_of_the_template() {
    let project = generate("own-app", &ODD);
    for path in files_below(&project) {
        let text = String::from_utf8(fs::read(project.join(&path)).unwrap()).unwrap();
        for trace in [
            NAME,
            "cargo-generate",
            "cargo generate",
            "liquid",
            "template",
            "{%",
        ] {
            let found = text.to_lowercase().find(trace);
            assert!(found.is_none(), "{path} says {trace:?}");
        }
        let unrendered = text
            .match_indices("{{")
            .find(|(at, _)| !text[..*at].ends_with('$'));
        assert!(unrendered.is_none(), "{path} has a `{{{{`");
        assert!(!path.ends_with(".liquid"), "{path} is a twin");
    }
    let readme = fs::read_to_string(project.join("README.md")).unwrap();
    assert!(
        readme.starts_with("# own-app\n"),
        "the README does not begin with the app's name"
    );
}

#[test]
fn generated_projects_pass_their_own_checks() {
    for (name, answers) in [("my-app", &[][..]), ("s", &ODD)] {
        let project = generate(name, answers);
        git(&project, &["init", "-q"]);
        git(&project, &["add", "-A"]);
        cargo(&project, &["build", "--locked"]);
        cargo(&project, &["fmt", "--check"]);
        cargo(
            &project,
            &["clippy", "--all-targets", "--", "-D", "warnings"],
        );
        cargo(&project, &["test", "-q"]);
        let changed = git(&project, &["status", "--porcelain"]);
        let changed: Vec<&str> = changed
            .lines()
            .filter(|line| !line.starts_with("A  "))
            .collect();
        assert!(
            changed.is_empty(),
            "{name}: building and testing changed {changed:?}"
        );
    }
}

#[test]
fn answers_are_taken_from_every_source() {
    let folder = scratch("sources");
    let values = folder.join("values.toml");
    fs::write(
        &values,
        "[values]\ncookie_name = \"from-file\"\nsession_max_age = \"2h\"\n",
    )
    .unwrap();
    let output = cargo_generate(&folder, "sourced", &["-d", "same_site=Strict"])
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
        r#"local_path("/from/env")"#,
        r#"local_path("/")"#,
    ] {
        assert!(defaults.contains(chosen), "{chosen} is not in {defaults}");
    }
}

#[test]
fn an_answer_outside_its_rule_stops_with_one_sentence_and_leaves_no_file() {
    let folder = scratch("refused-answers");
    for (key, rule, values) in refused_answers() {
        for value in values {
            let output = cargo_generate(&folder, "refused", &["-d", &format!("{key}={value}")])
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success(), "{key}={value:?} is accepted");
            let sentence = format!("{key} = \"{value}\" is refused: {rule}.");
            assert!(
                said.contains(&sentence),
                "{key}={value:?} is refused with {said}"
            );
            let left = files_below(&folder.join("refused"));
            assert!(left.is_empty(), "{key}={value:?} leaves {left:?}");
            fs::remove_dir(folder.join("refused")).unwrap();
        }
    }
}

#[test]
fn a_name_that_cannot_build_is_refused_before_anything_is_written() {
    let folder = scratch("refused-names");
    let reasons = [
        ("axum", "the app is built from a crate of this name"),
        ("tower_http", "the app is built from a crate of this name"),
        ("Tokio", "the app is built from a crate of this name"),
        ("test", "Rust, Cargo or Windows keeps this name for itself"),
        ("std", "Rust, Cargo or Windows keeps this name for itself"),
        ("self", "Rust, Cargo or Windows keeps this name for itself"),
        ("async", "Rust, Cargo or Windows keeps this name for itself"),
        ("build", "Rust, Cargo or Windows keeps this name for itself"),
        (
            "9lives",
            "lowercase letters, digits, - and _, after a letter; at most 64",
        ),
        (
            "héllo",
            "lowercase letters, digits, - and _, after a letter; at most 64",
        ),
    ];
    for (name, reason) in reasons {
        let output = cargo_generate(&folder, name, &[]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{name} is accepted");
        assert!(
            said.contains("project-name = \"") && said.contains(reason),
            "{name}: {said}"
        );
        assert_eq!(
            fs::read_dir(&folder).unwrap().count(),
            0,
            "{name} leaves something"
        );
    }
}

#[test]
fn a_constant_outside_its_rule_does_not_compile_and_says_the_rule() {
    let project = generate("edited", &[]);
    let cases = [
        (
            "cookie_name",
            "COOKIE_NAME: letters, digits",
            BAD_COOKIE_NAMES,
        ),
        (
            "max_age",
            "SESSION_MAX_AGE: a whole number and a unit",
            BAD_MAX_AGES,
        ),
        (
            "same_site",
            "SAME_SITE: `Lax`, `Strict` or `None`",
            BAD_SAME_SITES,
        ),
        (
            "local_path",
            "LOGIN_REDIRECT and LOGOUT_REDIRECT: a path on this site",
            BAD_PATHS,
        ),
    ];
    let mut constants = fs::read_to_string(project.join("src/defaults.rs")).unwrap();
    for (at, (rule, _, values)) in cases.iter().enumerate() {
        for (nth, value) in values.iter().enumerate() {
            constants += &format!("const BAD_{at}_{nth}: () = {{ rules::{rule}({value:?}); }};\n");
        }
    }
    fs::write(project.join("src/defaults.rs"), constants).unwrap();
    let output = cargo_command(&project, &["check", "--lib"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "bad constants compile");
    for (rule, words, values) in cases {
        let refused = said
            .matches(&format!("evaluation panicked: {words}"))
            .count();
        assert_eq!(refused, values.len(), "{rule}: {said}");
    }
}

/// Valid answers, each as far from its default as the rules allow.
const ODD: [&str; 5] = [
    "cookie_name=a",
    "session_max_age=90m",
    "same_site=None",
    "login_redirect=/me",
    "logout_redirect=/good.bye/~you",
];

const BAD_COOKIE_NAMES: &[&str] = &[
    "",
    "_s",
    "9s",
    "-s",
    ".s",
    "__host-id",
    "__HOST-id",
    "__secure-id",
    "__Foo-id",
    "a b",
    "a=b",
    "a;b",
    "a,b",
    "a%62",
    "sé",
    "ѕession",
    "a\"b",
    "a\\b",
    "{{a}}",
    "a{% raw %}",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

const BAD_MAX_AGES: &[&str] = &[
    "",
    "m",
    "7",
    "0m",
    "00h",
    "0d",
    "401d",
    "9601h",
    "576001m",
    "60s",
    "1w",
    "7D",
    "7dd",
    "7 d",
    "-7d",
    "+7d",
    "1.5h",
    "99999999999999999999999d",
    "٧d",
    "{{7}}d",
    "7d\"",
];

const BAD_SAME_SITES: &[&str] = &[
    "", "lax", "LAX", "Lax ", "Strict;", "none", "Secure", "Lаx", "{{Lax}}",
];

const BAD_PATHS: &[&str] = &[
    "",
    "me",
    "//",
    "//evil.example",
    "/a//b",
    "/a/",
    "/.",
    "/..",
    "/a/../b",
    "/a/.",
    "/a?b",
    "/a#b",
    "/a b",
    "/\\evil",
    "/a%2f",
    "/é",
    "/login",
    "/logout",
    "/healthz",
    "https://evil.example",
    "/{a}",
    "/{{a}}",
    "/a\"b",
    "/*a",
    "/:a",
    "/a;b",
    "/@style.css",
];

/// Placeholder, rule in the words of the refusal, values. `-d` trims no value but cuts a leading
/// space, so there is none.
fn refused_answers() -> [(&'static str, &'static str, &'static [&'static str]); 5] {
    let path = "one `/`, then segments of letters, digits, _ ~ . - and no `.` or `..` segment, no `//`, no query; \
                not /login, /logout or /healthz";
    [
        (
            "cookie_name",
            "letters, digits, - _ . and a start with a letter, __Host- or __Secure- (in this casing); at most 64 bytes",
            BAD_COOKIE_NAMES,
        ),
        (
            "session_max_age",
            "a whole number and a unit, m, h or d; at least 1 minute, at most 400 days",
            BAD_MAX_AGES,
        ),
        ("same_site", "Lax, Strict or None", BAD_SAME_SITES),
        ("login_redirect", path, BAD_PATHS),
        ("logout_redirect", path, BAD_PATHS),
    ]
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// An empty folder below `target`.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Generates a project with `answers` and the defaults for the rest.
fn generate(name: &str, answers: &[&str]) -> PathBuf {
    let folder = scratch(&format!("generated-{name}"));
    let answers: Vec<&str> = answers.iter().flat_map(|answer| ["-d", answer]).collect();
    assert_success(&cargo_generate(&folder, name, &answers).output().unwrap());
    folder.join(name)
}

fn cargo_generate(destination: &Path, name: &str, more: &[&str]) -> Command {
    let mut command = Command::new(cargo_generate_binary());
    command.args([
        "generate",
        "--silent",
        "--vcs",
        "none",
        "--no-workspace",
        "--name",
        name,
    ]);
    command
        .arg("--path")
        .arg(template())
        .arg("--destination")
        .arg(destination)
        .args(more);
    command.stdin(Stdio::null());
    command
}

/// The files that git tracks, or will, without what a checkout gathers beside them.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let folder = scratch("template");
        for path in tracked(root()) {
            let to = folder.join(&path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(root().join(&path), to).unwrap();
        }
        folder
    })
}

fn cargo_generate_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let says_version = |binary: &Path| {
            let output = Command::new(binary)
                .args(["generate", "--version"])
                .output();
            output.is_ok_and(|output| {
                String::from_utf8_lossy(&output.stdout)
                    .trim()
                    .ends_with(CARGO_GENERATE)
            })
        };
        let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools");
        let own = tools
            .join("bin/cargo-generate")
            .with_extension(env::consts::EXE_EXTENSION);
        for binary in [PathBuf::from("cargo-generate"), own.clone()] {
            if says_version(&binary) {
                return binary;
            }
        }
        eprintln!(
            "installing cargo-generate {CARGO_GENERATE} below target, once; this takes some minutes"
        );
        let root = tools.to_str().unwrap();
        let install = [
            "install",
            "cargo-generate",
            "--version",
            CARGO_GENERATE,
            "--locked",
            "--root",
            root,
        ];
        assert_success(
            &cargo_command(env::temp_dir().as_path(), &install)
                .output()
                .unwrap(),
        );
        own
    })
}

/// Cargo in another project, sharing what is built.
fn cargo_command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(folder).args(arguments);
    command.env(
        "CARGO_TARGET_DIR",
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("target"),
    );
    command
}

fn cargo(folder: &Path, arguments: &[&str]) {
    let output = cargo_command(folder, arguments).output().unwrap();
    assert_success(&output);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("warning:"), "{arguments:?} warns: {said}");
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    assert_success(&output);
    String::from_utf8(output.stdout).unwrap()
}

fn assert_success(output: &Output) {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
}

/// Paths of the files that git tracks or would track.
fn tracked(repository: &Path) -> Vec<String> {
    let listed = git(
        repository,
        &["ls-files", "--cached", "--others", "--exclude-standard"],
    );
    let exists = |path: &&str| repository.join(path).is_file();
    listed.lines().filter(exists).map(str::to_owned).collect()
}

/// Paths of all files below `folder`, from there; none where there is no folder.
fn files_below(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, prefix: &str, files: &mut Vec<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let entry = entry.unwrap();
            let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), &format!("{path}/"), files);
            } else {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    walk(folder, "", &mut files);
    files.sort();
    files
}

/// A twin with the defaults filled in.
fn rendered(twin: &str, name: &str) -> String {
    let defaults = [
        ("{{ project-name }}", name),
        ("{{ cookie_name }}", "session_user"),
        ("{{ session_max_age }}", "7d"),
        ("{{ same_site }}", "Lax"),
        ("{{ login_redirect }}", "/dashboard"),
        ("{{ logout_redirect }}", "/"),
    ];
    defaults
        .iter()
        .fold(twin.to_owned(), |text, (placeholder, value)| {
            text.replace(placeholder, value)
        })
}

/// The manifest with the project's name and without what is said of the template alone.
fn manifest_twin(live: &str) -> String {
    live.lines()
        .filter(|line| !line.starts_with("description = ") && !line.starts_with("license = "))
        .map(|line| line.replace(NAME, "{{ project-name }}") + "\n")
        .collect()
}

/// The lock file with the project's name. Cargo keeps packages in order, and where the project
/// belongs depends on its name, so the rendering sorts them. Versions of one crate stay together:
/// as text, 0.10 would come before 0.9.
fn lock_twin(live: &str) -> String {
    let (head, packages) = split_lock(live);
    let mut text = String::new();
    for (at, package) in packages.iter().enumerate() {
        let name = |package: &str| package.lines().next().map(str::to_owned);
        match at
            .checked_sub(1)
            .map(|before| name(packages[before]) == name(package))
        {
            None => {}
            Some(true) => text += "\n\n[[package]]\n",
            Some(false) => text += SEPARATOR,
        }
        text += &package.replace(NAME, "{{ project-name }}");
    }
    format!(
        "{head}{{% capture packages %}}{text}{{% endcapture %}}\
         {{% assign packages = packages | split: \"{SEPARATOR}\" | sort %}}\
         {{% for package in packages %}}{{% unless forloop.first %}}\n\n{{% endunless %}}\
         [[package]]\n{{{{ package }}}}{{% endfor %}}\n"
    )
}

/// Stands between packages in the twin of the lock file, and nowhere in a lock file.
const SEPARATOR: &str = "%%";

/// The lock file as Cargo writes it for a project called `name`.
fn lock_of(name: &str) -> String {
    let live = read("Cargo.lock");
    let (head, packages) = split_lock(&live);
    let mut packages: Vec<String> = packages.iter().map(|p| p.replace(NAME, name)).collect();
    packages.sort_by_key(|package| package.lines().next().map(str::to_owned));
    format!(
        "{head}[[package]]\n{}\n",
        packages.join("\n\n[[package]]\n")
    )
}

fn split_lock(lock: &str) -> (&str, Vec<&str>) {
    let at = lock.find("[[package]]").unwrap();
    (
        &lock[..at],
        lock[at..]
            .split("[[package]]\n")
            .skip(1)
            .map(str::trim_end)
            .collect(),
    )
}

/// The hook with the names of all locked crates in its list.
fn with_dependencies(hook: &str, lock: &str) -> String {
    let mut rows = vec![String::from("   ")];
    let names = lock
        .lines()
        .filter_map(|line| line.strip_prefix("name = "))
        .map(|name| name.to_owned() + ",");
    let mut names: Vec<String> = names.filter(|name| !name.contains(NAME)).collect();
    names.dedup();
    for name in names {
        if rows.last().unwrap().len() + name.len() >= 100 {
            rows.push(String::from("   "));
        }
        let row = rows.last_mut().unwrap();
        *row += " ";
        *row += &name;
    }
    let start = hook.find("const DEPENDENCIES = [").unwrap();
    let end = start + hook[start..].find("];").unwrap();
    format!(
        "{}const DEPENDENCIES = [\n{}\n{}",
        &hook[..start],
        rows.join("\n"),
        &hook[end..]
    )
}
