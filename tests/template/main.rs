//! The template: what it generates, and what it refuses.
//!
//! Runs the real `cargo generate`, and installs it below `target` where there is none; another version
//! where `CARGO_GENERATE_BINARY` names one. Stays behind when a project is generated.
//!
//! [`matrix`] checks the projects themselves, [`answers`] what is refused, [`twins`] that the live
//! app and what is rendered stay the same, `ways` what else the READMEs say to do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod matrix;
mod twins;
// The commands of the READMEs are for a POSIX shell.
#[cfg(unix)]
mod ways;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

/// The version this template is tested against.
const CARGO_GENERATE: &str = "0.23.14";

/// The live app, and what its twins call `{{ project-name }}`.
const NAME: &str = env!("CARGO_PKG_NAME");

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
fn generate(name: &str, answers: &[(&str, &str)]) -> PathBuf {
    generate_into(&scratch(&format!("generated-{name}")), name, answers)
}

fn generate_into(folder: &Path, name: &str, answers: &[(&str, &str)]) -> PathBuf {
    let mut command = cargo_generate(template(), folder, name);
    for (key, value) in answers {
        command.args(["-d", &format!("{key}={value}")]);
    }
    assert_success(&command.output().unwrap());
    folder.join(name)
}

fn cargo_generate(template: &Path, destination: &Path, name: &str) -> Command {
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
        .arg(template)
        .arg("--destination")
        .arg(destination)
        .stdin(Stdio::null());
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
        if let Some(binary) = env::var_os("CARGO_GENERATE_BINARY") {
            return binary.into();
        }
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
            "--debug",
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

/// Where generated projects are built: one folder for the matrix's first lane and all other tests.
fn target() -> PathBuf {
    matrix::Lane::new("lane-0").target()
}

/// Cargo in another project, sharing what is built.
fn cargo_command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    build_settings(command.current_dir(folder).args(arguments));
    command
}

/// What only a debugger or a second build of the same project would use is left out, and no crate is cut
/// into units to be built side by side, because there are crates enough: that halves the time, and takes
/// a tenth of the disk.
fn build_settings(command: &mut Command) -> &mut Command {
    command
        .env("CARGO_TARGET_DIR", target())
        .env("CARGO_PROFILE_DEV_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_INCREMENTAL", "0")
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = git_identity(Command::new("git").args(arguments))
        .current_dir(folder)
        .output()
        .unwrap();
    assert_success(&output);
    String::from_utf8(output.stdout).unwrap()
}

/// A machine that runs tests need not know who commits; and what happens in a scratch folder must not
/// reach a repository that it lies in.
fn git_identity(command: &mut Command) -> &mut Command {
    command.env("GIT_CEILING_DIRECTORIES", env!("CARGO_TARGET_TMPDIR"));
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "Somebody");
        command.env(format!("GIT_{role}_EMAIL"), "somebody@example.com");
    }
    command
}

fn assert_success(output: &Output) {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
}

/// What cargo-generate says, without the blanks that versions put in front of lines.
fn said(output: &Output) -> String {
    let streams = [&output.stdout, &output.stderr];
    let text = streams.map(|stream| String::from_utf8_lossy(stream).into_owned());
    unindented(&text.concat())
}

fn unindented(text: &str) -> String {
    let lines: Vec<&str> = text.split('\n').map(str::trim_start).collect();
    lines.join("\n")
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

/// A part of `markdown`, from its heading to the next heading as deep.
fn section<'a>(markdown: &'a str, heading: &str) -> &'a str {
    let start = markdown
        .find(heading)
        .unwrap_or_else(|| panic!("no {heading:?}"));
    let depth = &heading[..=heading.find(' ').unwrap()];
    let body = start + heading.len();
    let end = markdown[body..].find(&format!("\n{depth}"));
    &markdown[start..end.map_or(markdown.len(), |end| body + end + 1)]
}
