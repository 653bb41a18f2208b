//! The live files and their twins in `.template`.

use std::{collections::BTreeMap, env, fs};

use crate::{NAME, files_below, generate, read, root, tracked};

/// Set to rewrite the files that follow from others.
const BLESS: &str = "BLESS";

/// What stays behind.
const TEMPLATE_ONLY: [&str; 8] = [
    ".ci/",
    ".github/images/",
    ".github/workflows/baseline.yml",
    ".github/workflows/template.yml",
    ".template/",
    "LICENSE-",
    "cargo-generate.toml",
    "tests/template/",
];

const DEFAULTS: [(&str, &str); 6] = [
    ("project-name", "same-app"),
    ("cookie_name", "session_user"),
    ("session_max_age", "7d"),
    ("same_site", "Lax"),
    ("login_redirect", "/dashboard"),
    ("logout_redirect", "/"),
];

#[test]
fn derived_files_follow_from_the_live_ones() {
    let lock = read("Cargo.lock");
    let derived = [
        (
            ".template/Cargo.toml.liquid",
            manifest_twin(&read("Cargo.toml")),
        ),
        (".template/Cargo.lock.liquid", lock_twin(&lock)),
        (
            ".template/names.rhai",
            with_dependencies(&read(".template/names.rhai"), &lock),
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
    for path in ["README.md", "Cargo.toml", "template.toml"] {
        expected.insert(path.into(), rendered(path, &DEFAULTS).into());
    }
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

/// The twin of a file with these answers filled in.
pub(crate) fn rendered(path: &str, answers: &[(&str, &str)]) -> String {
    let twin = read(&format!(".template/{path}.liquid"));
    answers.iter().fold(twin, |text, (key, value)| {
        text.replace(&format!("{{{{ {key} }}}}"), value)
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
pub(crate) fn lock_of(name: &str) -> String {
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
