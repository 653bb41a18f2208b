//! The ways into a project, into a newer version of it, and around cargo-generate: what the two
//! READMEs say, run as it stands there.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::{
    assert_success, build_settings, cargo_command, cargo_generate_binary, files_below, git,
    git_identity, read, said, scratch, section, template,
};

/// Valid answers, each as far from its default as the rules allow.
const ODD: [&str; 5] = [
    "cookie_name=a",
    "session_max_age=90m",
    "same_site=None",
    "login_redirect=/me",
    "logout_redirect=/good.bye/~you",
];

#[test]
fn a_newer_template_comes_into_a_project_as_a_merge() {
    let folder = scratch("update");
    let template = repository(&folder.join("template"));
    let project = generate(&folder, &template, "my-app", &ODD);
    let [keep, update] = update_commands(&template);
    succeeds(&project, &keep);
    assert_eq!(git(&project, &["status", "--porcelain"]), "");

    // What an owner does.
    let file = |path: &str| project.join(path);
    append(&file("README.md"), "\nThe house has a cat.\n");
    append(&file("src/html/style.css"), "/* the owner's colours */\n");
    replace(&file("src/defaults.rs"), "\"a\"", "\"sid\"");
    replace(
        &file("Cargo.toml"),
        "version = \"0.1.0\"",
        "version = \"1.2.3\"",
    );
    fs::write(file("src/cat.rs"), "//! The cat.\n").unwrap();
    fs::remove_file(file("SECURITY.md")).unwrap();
    git(&project, &["add", "-A"]);
    git(&project, &["commit", "-qm", "Move in"]);

    go_on(&folder.join("template"));
    succeeds(&project, &update);

    assert_eq!(git(&project, &["status", "--porcelain"]), "");
    let parents = git(&project, &["show", "-s", "--format=%p"]);
    assert_eq!(parents.split_whitespace().count(), 2, "not a merge");
    let text = |path: &str| fs::read_to_string(project.join(path)).unwrap();
    assert!(text("README.md").ends_with("\nThe house has a cat.\n"));
    assert!(text("README.md").contains("## Run it at once\n"));
    assert!(text("src/html/style.css").ends_with("/* the owner's colours */\n"));
    assert!(text("src/defaults.rs").contains(r#"cookie_name("sid")"#));
    assert!(text("src/defaults.rs").contains(r#"same_site("None")"#));
    assert!(text("Cargo.toml").contains("version = \"1.2.3\"\n"));
    assert!(text("src/lib.rs").ends_with("// A newer line.\n"));
    assert!(text("template.toml").contains("version = \"10.2.0\"\n"));
    assert!(text("template.toml").contains("session_max_age = \"90m\"\n"));
    for (path, stays) in [
        ("src/cat.rs", true),
        ("src/newer.rs", true),
        ("SECURITY.md", false),
        ("tests/headers.rs", false),
    ] {
        assert_eq!(project.join(path).exists(), stays, "{path}");
    }

    let merged = state(&project);
    succeeds(&project, &update);
    assert!(state(&project) == merged, "nothing new changes something");

    // The branch is what the newer template generates, nothing of the owner's in it.
    git(&project, &["checkout", "-q", "template"]);
    let kept = contents(&project);
    fs::rename(&project, folder.join("merged")).unwrap();
    generate(&folder, &template, "my-app", &ODD);
    assert!(
        kept == contents(&project),
        "the branch is not what is generated"
    );
}

#[test]
fn an_update_that_fails_changes_nothing() {
    let folder = scratch("failed-update");
    let template = repository(&folder.join("template"));
    let project = generate(&folder, &template, "my-app", &ODD);
    let [keep, update] = update_commands(&template);
    let refused = |command: &str, reason: &str| {
        let before = state(&project);
        let output = shell(&project, command);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains(reason),
            "{command}: {said}"
        );
        assert!(state(&project) == before, "{command} changes something");
    };
    refused(&update, "there is no branch");
    git(&project, &["symbolic-ref", "HEAD", "refs/heads/template"]);
    refused(&keep, "your own branch is called");
    git(&project, &["branch", "-m", "main"]);
    // Git knows of nobody to commit as.
    refused(&format!("GIT_AUTHOR_NAME='' {keep}"), "empty ident name");
    succeeds(&project, &keep);
    refused(&keep, "already");

    append(&project.join("README.md"), "\nThe house has a cat.\n");
    refused(&update, "not committed");
    git(&project, &["commit", "-qam", "Move in"]);
    let without = update.replace(&format!("TEMPLATE={template}"), "");
    refused(&without, "TEMPLATE is not set");
    refused(&format!("TEMPLATE= {without}"), "TEMPLATE is not set");
    let nowhere = update.replace(&template, "file:///nowhere/at/all");
    refused(&nowhere, "nothing could be generated");

    go_on(&folder.join("template"));
    let hook = project.join(".git/hooks/pre-merge-commit");
    fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    run(&project, "chmod", &["+x", ".git/hooks/pre-merge-commit"]);
    refused(&update, "the merge was refused");
    fs::remove_file(hook).unwrap();
    git(&project, &["switch", "-q", "template"]);
    refused(&update, "checked out");
}

#[test]
fn a_project_in_a_larger_repository_is_left_alone_and_told_how_to_compare() {
    let outer = scratch("larger");
    let template = repository(&scratch("larger-template").join("template"));
    git(&outer, &["init", "-q"]);
    fs::write(outer.join("other"), "Somebody else's.\n").unwrap();
    let project = generate_with(&outer, &template, "my-app", &ODD, &[]);
    assert!(!project.join(".git").exists());
    git(&outer, &["add", "-A"]);
    git(&outer, &["commit", "-qm", "Begin"]);
    git(&outer, &["branch", "template"]);
    go_on(Path::new(template.trim_start_matches("file://")));

    let before = state(&outer);
    let mut told = String::new();
    for command in update_commands(&template) {
        let output = shell(&project, &command);
        told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{command}");
        assert!(
            told.contains("the folder my-app/ of a larger repository"),
            "{told}"
        );
    }
    // The commands as they stand there. The last one exits with 1, because there is a difference.
    let commands: String = told
        .lines()
        .filter(|line| line.starts_with("  "))
        .collect::<Vec<_>>()
        .join("\n");
    let output = shell(
        &project,
        &format!("TEMPLATE={template}\n{commands} || true"),
    );
    assert_success(&output);
    let differs = String::from_utf8(output.stdout).unwrap();
    assert!(differs.contains("\n+// A newer line.\n"), "{differs}");
    assert!(state(&outer) == before, "something has changed");
}

#[test]
fn a_copy_of_the_template_becomes_what_the_defaults_generate() {
    let folder = scratch("fork");
    let template = repository(&folder.join("template"));
    let readme = read("README.md");
    let [documented] = commands(section(&readme, "## Fork it\n"))[..] else {
        panic!("one block of commands is expected")
    };
    assert_eq!(documented.lines().count(), 3, "{documented}");
    let documented = documented.replace("$COPY", &template);

    // The name decides where Cargo.lock has the package: first, in between, last.
    for name in ["a", "my-app", "zzz_9"] {
        let place = folder.join(format!("{name}-forked"));
        fs::create_dir(&place).unwrap();
        succeeds(&place, &documented.replace("my-app", name));
        let project = place.join(name);
        assert_eq!(git(&project, &["status", "--porcelain"]), "");
        git(&project, &["rev-parse", "--verify", "-q", "template"]);

        let generated = generate(&folder, &template, name, &[]);
        git(&generated, &["add", "-A"]);
        // Modes and contents: what is known of the one is true of the other.
        let listed = |project| git(project, &["ls-files", "-s"]);
        let (forked, generated) = (listed(&project), listed(&generated));
        let only = |a: &str, b: &str| {
            a.lines()
                .filter(|line| !b.contains(line))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            only(&forked, &generated),
            only(&generated, &forked),
            "{name}"
        );
    }
}

#[test]
fn a_copy_is_left_alone_when_it_cannot_take_a_name() {
    let folder = scratch("refused-fork");
    repository(&folder.join("template"));
    let copy = folder.join("template");
    let refused = |name: &str, reason: &str| {
        let before = contents(&copy);
        let fork = ["-c", "bash .ci/fork \"$0\"", name];
        let output = Command::new("bash")
            .current_dir(&copy)
            .args(fork)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains(reason),
            "{name}: {said}"
        );
        assert!(contents(&copy) == before, "{name} changes something");
    };
    let rule = "lowercase letters, digits, - and _, after a letter; at most 64";
    for name in ["", "9lives", "My-App", "a/b", "a|b", "héllo"] {
        refused(name, rule);
    }
    for name in ["axum", "tower_http", "serde-core", "test", "proc-macro"] {
        refused(name, "has this name");
    }
    fs::write(copy.join("note"), "").unwrap();
    refused("my-app", "not committed");
}

#[test]
fn a_path_and_an_address_give_the_same_and_rustfmt_leaves_it_alone() {
    let folder = scratch("sources-agree");
    let address = repository(&folder.join("template"));
    let by_address = generate(&folder, &address, "my-app", &ODD);
    let by_path = folder.join("by-path");
    fs::create_dir(&by_path).unwrap();
    // What a checkout holds that somebody worked in stays there.
    let used = folder.join("template");
    fs::create_dir(used.join("target")).unwrap();
    for path in ["users", "revocations.redb", ".env", "target/binary"] {
        fs::write(used.join(path), b"\xff").unwrap();
    }
    let path = used.to_str().unwrap();
    let more = ODD.iter().flat_map(|answer| ["-d", answer]);
    let arguments = ["--path", path, "--name", "my-app"].into_iter().chain(more);
    let output = cargo_generate(&by_path, arguments);
    assert_success(&output);
    let project = by_path.join("my-app");
    assert!(contents(&project) == contents(&by_address));
    assert!(!project.join("target").exists());
    let said = said(&output);
    let next = format!("\nNext:\ncd \"{}\"\ncargo run\nBefore", project.display());
    assert!(said.contains(&next), "{said}");

    // Later versions of cargo-generate run rustfmt file by file, unless told not to.
    assert!(read("cargo-generate.toml").contains("\nfmt = false\n"));
    let sources = files_below(&by_address).into_iter();
    let sources = sources.filter(|path| path.ends_with(".rs"));
    let mut rustfmt = Command::new("rustfmt");
    rustfmt
        .current_dir(&by_address)
        .args(["--check", "--edition", "2024"])
        .args(sources);
    assert_success(&rustfmt.output().unwrap());
}

#[test]
fn a_favourite_answers_and_is_overruled() {
    let folder = scratch("favourite");
    let address = repository(&folder.join("template"));
    let values = "cookie_name = \"liked\"\nsession_max_age = \"3d\"";
    let favourite =
        format!("[favorites.session]\ngit = {address:?}\n[favorites.session.values]\n{values}\n");
    fs::write(folder.join("favourites.toml"), favourite).unwrap();
    let arguments = [
        "--config",
        "favourites.toml",
        "session",
        "--name",
        "my-app",
        "-d",
        "session_max_age=2h",
    ];
    assert_success(&cargo_generate(&folder, arguments));
    let defaults = fs::read_to_string(folder.join("my-app/src/defaults.rs")).unwrap();
    assert!(defaults.contains(r#"cookie_name("liked")"#) && defaults.contains(r#"max_age("2h")"#));

    let arguments = ["--config", "favourites.toml", "sesion", "--name", "other"];
    let misspelt = cargo_generate(&folder, arguments);
    assert!(!misspelt.status.success() && !folder.join("other").exists());
}

#[test]
fn a_folder_keeps_its_files_unless_told_otherwise() {
    let folder = scratch("into-a-folder");
    let init = |more: &[&str]| {
        let init = [
            "--path",
            template().to_str().unwrap(),
            "--init",
            "--name",
            "my-app",
        ];
        cargo_generate(&folder, init.into_iter().chain(more.iter().copied()))
    };
    fs::write(folder.join("README.md"), "mine").unwrap();
    assert!(!init(&["-d", "same_site=Secure"]).status.success());
    assert_eq!(files_below(&folder), ["README.md"]);

    let readme = || fs::read_to_string(folder.join("README.md")).unwrap();
    assert_success(&init(&[]));
    assert_eq!(readme(), "mine");
    assert!(folder.join("src/main.rs").exists() && !folder.join(".git").exists());
    assert_success(&init(&["--overwrite"]));
    assert!(readme().starts_with("# my-app\n"));
}

#[test]
fn a_workspace_takes_a_project_in_or_leaves_it_out() {
    let folder = scratch("workspace");
    let path = template().to_str().unwrap();
    let manifest = folder.join("Cargo.toml");
    let metadata = |project: &str| {
        cargo_command(
            &folder.join(project),
            &["metadata", "--locked", "--format-version", "1"],
        )
        .output()
        .unwrap()
    };

    fs::write(
        &manifest,
        "# why\n[workspace]\nresolver = \"3\"\nmembers = []\n",
    )
    .unwrap();
    assert_success(&cargo_generate(
        &folder,
        ["--path", path, "--name", "member"],
    ));
    let written = fs::read_to_string(&manifest).unwrap();
    assert!(
        written.contains("\"member\"") && !written.contains("# why"),
        "{written}"
    );
    assert!(!folder.join("member/.git").exists());
    assert!(
        !metadata("member").status.success(),
        "the member's lock file counts"
    );
    let is_ignored = |output: &Output| {
        String::from_utf8_lossy(&output.stderr)
            .contains("profiles for the non root package will be ignored")
    };
    assert!(is_ignored(&metadata("member")));
    fs::rename(folder.join("member/Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    assert_success(&metadata("member"));

    fs::write(&manifest, "[workspace]\nmembers = []\n").unwrap();
    assert_success(&cargo_generate(
        &folder,
        ["--path", path, "--name", "apart", "--no-workspace"],
    ));
    assert!(
        !metadata("apart").status.success(),
        "Cargo takes it for a member"
    );
    fs::write(
        &manifest,
        "[workspace]\nmembers = []\nexclude = [\"apart\"]\n",
    )
    .unwrap();
    assert_success(&metadata("apart"));
}

#[test]
fn two_projects_share_a_workspace_once_a_library_is_renamed() {
    let folder = scratch("two-in-a-workspace");
    let manifest = "[workspace]\nresolver = \"3\"\nmembers = []\n";
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    let path = template().to_str().unwrap();
    for name in ["my-first-app", "my-second-app"] {
        assert_success(&cargo_generate(&folder, ["--path", path, "--name", name]));
    }
    let second = folder.join("my-second-app");
    fs::copy(second.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let collides = || {
        let output = cargo_command(&folder, &["build", "--workspace"])
            .output()
            .unwrap();
        assert_success(&output);
        String::from_utf8_lossy(&output.stderr).contains("output filename collision")
    };
    assert!(collides());
    let readme = read("README.md");
    let rename = commands(&readme)
        .into_iter()
        .find(|block| block.contains("my_second_app"));
    succeeds(&second, rename.unwrap());
    assert!(!collides());
}

#[test]
fn its_own_test_command_tests_what_is_generated() {
    let folder = scratch("own-test");
    let test = |command: &str| {
        let destination = scratch("own-test/destination");
        let mut generate = generate_command(template());
        generate
            .args(["--vcs", "none", "--name", "my-app", "--destination"])
            .arg(&destination);
        build_settings(&mut generate)
            .args(["--test", "--locked"])
            .env("CARGO_GENERATE_TEST_CMD", command);
        let output = generate.output().unwrap();
        assert_eq!(files_below(&folder).len(), 0, "something is left");
        output.status.success()
    };
    assert!(test("cargo build --lib"));
    assert!(!test("cargo build --example none"));
}

#[test]
fn without_a_name_nothing_is_asked_or_written_in_silence() {
    let folder = scratch("nameless");
    let output = cargo_generate(&folder, ["--path", template().to_str().unwrap()]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--name"));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

/// The template as a repository of one commit.
fn repository(folder: &Path) -> String {
    run(
        folder.parent().unwrap(),
        "cp",
        &["-R", template().to_str().unwrap(), folder.to_str().unwrap()],
    );
    git(folder, &["init", "-q", "-b", "main"]);
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-qm", "Begin"]);
    format!("file://{}", folder.display())
}

/// What a newer template does: another line, another file, one file less, a new version.
fn go_on(template: &Path) {
    append(&template.join("src/lib.rs"), "// A newer line.\n");
    replace(
        &template.join(".template/README.md.liquid"),
        "## Run it\n",
        "## Run it at once\n",
    );
    replace(
        &template.join(".template/template.toml.liquid"),
        "version = \"",
        "version = \"1",
    );
    fs::write(template.join("src/newer.rs"), "//! A newer file.\n").unwrap();
    fs::remove_file(template.join("tests/headers.rs")).unwrap();
    git(template, &["add", "-A"]);
    git(template, &["commit", "-qm", "Go on"]);
}

/// What the generated README says to do before the first change, and to get a newer version.
fn update_commands(template: &str) -> [String; 2] {
    let readme = read(".template/README.md.liquid");
    let headings = [
        "## Keep what was generated\n",
        "## Updates from the template\n",
    ];
    headings.map(|heading| {
        let [command] = commands(section(&readme, heading))[..] else {
            panic!("one block of commands is expected below {heading}")
        };
        command.trim().replace("ADDRESS", template)
    })
}

/// All that may not change where a command fails: files, the index and the branches.
fn state(repository: &Path) -> (BTreeMap<String, Vec<u8>>, String) {
    let all = "git status --porcelain; git ls-files --stage; cat .git/HEAD; git for-each-ref; git worktree list";
    let output = shell(repository, all);
    assert_success(&output);
    (
        contents(repository),
        String::from_utf8(output.stdout).unwrap(),
    )
}

/// A project from the repository, with a repository of its own.
fn generate(folder: &Path, address: &str, name: &str, answers: &[&str]) -> PathBuf {
    // The scratch folder may lie in a repository, which cargo-generate would leave it at.
    generate_with(folder, address, name, answers, &["--force-git-init"])
}

fn generate_with(
    folder: &Path,
    address: &str,
    name: &str,
    answers: &[&str],
    more: &[&str],
) -> PathBuf {
    let answers = answers.iter().flat_map(|answer| ["-d", answer]);
    let arguments = ["--no-workspace", "--name", name, "--git", address].into_iter();
    let arguments = arguments.chain(answers).chain(more.iter().copied());
    assert_success(&cargo_generate(folder, arguments));
    folder.join(name)
}

/// `cargo generate` as in CI: nobody answers.
fn cargo_generate<'a>(folder: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Output {
    generate_command(folder).args(arguments).output().unwrap()
}

fn generate_command(folder: &Path) -> Command {
    let mut command = Command::new(cargo_generate_binary());
    command
        .current_dir(folder)
        .args(["generate", "--silent"])
        .stdin(Stdio::null());
    command
}

/// The blocks of commands in `markdown`.
fn commands(markdown: &str) -> Vec<&str> {
    let blocks = markdown.split("```sh\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap())
        .collect()
}

/// Runs commands as somebody would who pastes them.
fn shell(folder: &Path, commands: &str) -> Output {
    git_identity(Command::new("bash").args(["-euc", commands]))
        .current_dir(folder)
        .env("PATH", path_with_tools())
        .env_remove("TEMPLATE")
        .output()
        .unwrap()
}

fn succeeds(folder: &Path, commands: &str) {
    assert_success(&shell(folder, commands));
}

fn run(folder: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    assert_success(&output);
}

fn append(path: &Path, line: &str) {
    let text = fs::read_to_string(path).unwrap();
    fs::write(path, text + line).unwrap();
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} has no {from:?}", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}

/// Everything in a folder but git's own and what is built.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = files_below(folder).into_iter();
    let files = files.filter(|path| !path.starts_with(".git/") && !path.starts_with("target/"));
    files
        .map(|path| (path.clone(), fs::read(folder.join(path)).unwrap()))
        .collect()
}

/// `PATH` with the tested `cargo generate` in front.
fn path_with_tools() -> OsString {
    // A binary without a folder was found in `PATH`.
    let tools = cargo_generate_binary()
        .parent()
        .filter(|tools| *tools != Path::new(""));
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = tools.map(Path::to_owned).into_iter();
    env::join_paths(folders.chain(env::split_paths(&path))).unwrap()
}
