//! Projects generated from many answers, each held to everything a project promises.
//!
//! Not every combination is tried, but every pair: whatever two choices can do to each other, some
//! project shows. `cargo test` takes the quick subset, [`QUICK`] projects in which every kind of
//! answer occurs once. The pairs take the whole set, minutes of it: `MATRIX=all`, as `.ci/run` has
//! it, which also tests the features in the quick subset. There are [`LANES`], each with a target
//! directory that its projects share, so that dependencies are built once in each.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, BufRead, BufReader, Write},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::channel,
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    NAME, assert_success, cargo_command, files_below, generate_into, git, scratch, section,
    twins::{lock_of, rendered},
};

/// A choice, and its kinds of answers. Answers of one kind take turns.
type Choice = (&'static str, &'static [&'static [&'static str]]);

/// The name of the project, then the answers. The first of each kind is the default.
const CHOICES: [Choice; 6] = [
    (
        "project-name",
        &[
            &["webapp"],
            &["my-web-app", "a-b-c-d"],
            &["shop24", "my_app_2"],
            // As short and as long as can be.
            &["a", LONG_NAME, "s", "z"],
            // A module, a test or the library of the app.
            &["session", "pages", "app", "error", "config"],
        ],
    ),
    (
        "cookie_name",
        &[
            &["session_user"],
            &["__Host-id", "__Host-"],
            &["__Secure-a.b", "__Secure-"],
            // Words that the app, its pages and its log use for something else.
            &["session", "login", "event", "csrf-token", "http"],
            // As short and as long as can be, or an attribute, which is a name only by its place.
            &["a", LONG_COOKIE_NAME, "Path", "Z", "expires"],
        ],
    ),
    (
        "session_max_age",
        &[
            &["7d"],
            &["1m"],
            &["90m", "24h"],
            &["400d", "9600h", "576000m"],
            &["0007d"],
        ],
    ),
    ("same_site", &[&["Lax"], &["Strict"], &["None"]]),
    (
        "login_redirect",
        &[
            &["/dashboard"],
            &["/"],
            &["/me"],
            &["/start.css", "/a.b/~c", LONG_PATH, "/.../-/_", "/start.svg"],
            // Almost paths that the app has.
            &["/login/x", "/me/too", "/Login"],
        ],
    ),
    (
        "logout_redirect",
        &[
            &["/"],
            &["/login", "/logout/everywhere", "/healthz/live", "/LOGOUT"],
            &["/bye.svg", "/bye.css"],
            &["/a.b/~c", LONG_PATH, "/.../-/_"],
            &["/dashboard"],
        ],
    ),
];

/// 64 letters.
const LONG_NAME: &str = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl";

/// 64 bytes.
const LONG_COOKIE_NAME: &str = "abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ_.012345678";

/// 200 characters.
const LONG_PATH: &str = "/nineteen-characters/nineteen-characters/nineteen-characters\
    /nineteen-characters/nineteen-characters/nineteen-characters/nineteen-characters\
    /nineteen-characters/nineteen-characters/nineteen-characters";

/// How many projects it takes until every kind of answer has occurred.
const QUICK: usize = 5;

/// How many projects are checked at once: what waits in one leaves the processor to the other.
const LANES: usize = 2;

const PATIENCE: Duration = Duration::from_secs(60);

/// One answer to each choice, in order.
type Answers = Vec<(&'static str, &'static str)>;

#[test]
fn every_pair_of_answers_meets_in_a_project() {
    let projects = projects();
    let some =
        |among: &[Answers], (one, values): (usize, &[&str]), (other, others): (usize, &[&str])| {
            let fits = |answers: &&Answers| {
                values.contains(&answers[one].1) && others.contains(&answers[other].1)
            };
            among.iter().any(|answers| fits(&answers))
        };
    for (one, (key, kinds)) in CHOICES.iter().enumerate() {
        for kind in *kinds {
            let met = (one, *kind);
            assert!(
                some(&projects[..QUICK], met, met),
                "quick: no {key}={kind:?}"
            );
            for value in *kind {
                assert!(some(&projects, (one, &[value]), met), "no {key}={value}");
            }
            for (other, (other_key, other_kinds)) in CHOICES.iter().enumerate().skip(one + 1) {
                for other_kind in *other_kinds {
                    assert!(
                        some(&projects, met, (other, other_kind)),
                        "no {key}={kind:?} with {other_key}={other_kind:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn generated_projects_pass_their_own_checks() {
    let projects = projects();
    let (quick, rest) = projects.split_at(QUICK);
    let started = Instant::now();
    // Not `eprintln!`, which says nothing while the test passes.
    let report = |what: &str, count: usize| {
        let seconds = started.elapsed().as_secs();
        writeln!(io::stderr(), "\n{what}: {count} projects in {seconds} s").unwrap();
    };
    let whole = env::var_os("MATRIX").is_some_and(|set| set == "all");
    check_all(quick, whole);
    report("the quick subset of the matrix", quick.len());
    if whole {
        check_all(rest, false);
        report("the whole matrix", projects.len());
    }
}

#[test]
fn a_warning_of_clippy_fails_the_tests_of_a_project() {
    let lane = Lane::new("warned");
    for (function, warns) in [
        ("pub fn one() -> u8 {\n    1\n}\n", false),
        ("pub fn one() -> u8 {\n    return 1;\n}\n", true),
    ] {
        let project = lane.scratch("project");
        let manifest = "[package]\nname = \"warned\"\nedition = \"2024\"\n[workspace]\n";
        fs::write(project.join("Cargo.toml"), manifest).unwrap();
        let lock = "version = 4\n\n[[package]]\nname = \"warned\"\nversion = \"0.0.0\"\n";
        fs::write(project.join("Cargo.lock"), lock).unwrap();
        fs::create_dir(project.join("src")).unwrap();
        fs::write(project.join("src/lib.rs"), function).unwrap();
        let output = lane.test(&project, false).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.success(), !warns, "{said}");
        assert_eq!(said.contains("clippy::needless_return"), warns, "{said}");
    }
}

/// Checks these projects, a few at a time; with their features, whose tests take longer, if told so.
fn check_all(projects: &[Answers], features: bool) {
    let waiting = Mutex::new(projects.iter());
    let next = || waiting.lock().unwrap().next();
    let failed = AtomicBool::new(false);
    thread::scope(|scope| {
        for lane in 0..LANES {
            let lane = Lane::new(&format!("lane-{lane}"));
            let (next, failed) = (&next, &failed);
            scope.spawn(move || {
                // Where one has failed, the rest of them need not be waited for.
                while !failed.load(Relaxed)
                    && let Some(answers) = next()
                {
                    let checked =
                        catch_unwind(AssertUnwindSafe(|| check(answers, features, &lane)));
                    if let Err(panic) = checked {
                        eprintln!("the project that failed: {answers:?}");
                        failed.store(true, Relaxed);
                        resume_unwind(panic);
                    }
                }
            });
        }
    });
}

/// Where one project at a time is generated, built and run.
pub(crate) struct Lane(String);

impl Lane {
    pub(crate) fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    fn scratch(&self, name: &str) -> PathBuf {
        scratch(&format!("{}/{name}", self.0))
    }

    /// The tests create folders below it, of the same names in every project.
    pub(crate) fn target(&self) -> PathBuf {
        let lane = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&self.0);
        lane.join("target")
    }

    fn cargo(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = cargo_command(folder, arguments);
        command.env("CARGO_TARGET_DIR", self.target());
        command
    }

    /// The project's tests, compiled by Clippy as `cargo clippy` calls it, which then goes on to build: one
    /// pass for both.
    fn test(&self, folder: &Path, features: bool) -> Command {
        let clippy = Path::new(env!("CARGO"))
            .with_file_name("clippy-driver")
            .with_extension(env::consts::EXE_EXTENSION);
        let mut command = self.cargo(folder, &["test", "--locked", "-q"]);
        command
            .args(features.then_some("--all-features"))
            .env("RUSTC_WORKSPACE_WRAPPER", clippy)
            .env("CLIPPY_ARGS", "-Dwarnings");
        command
    }
}

/// Generates a project and holds it to everything.
fn check(answers: &Answers, features: bool, lane: &Lane) {
    eprintln!("the project, features {features}: {answers:?}");
    let name = answers[0].1;
    let project = generate_into(&lane.scratch("generated"), name, &answers[1..]);
    for path in [
        "Cargo.toml",
        "README.md",
        "src/defaults.rs",
        "template.toml",
    ] {
        let found = fs::read_to_string(project.join(path)).unwrap();
        assert_eq!(found, rendered(path, answers), "{path}");
    }
    let lock = fs::read_to_string(project.join("Cargo.lock")).unwrap();
    assert!(lock == lock_of(name), "Cargo would reorder Cargo.lock");
    for path in files_below(&project) {
        let mut text = fs::read_to_string(project.join(&path)).unwrap();
        // What an update needs: the remembered answers, and the sections that say how.
        if path == "README.md" {
            for heading in [
                "## Keep what was generated\n",
                "## Updates from the template\n",
            ] {
                let update = section(&text, heading).to_owned();
                text = text.replace(&update, "");
            }
        }
        if ![".github/update-from-template", "template.toml"].contains(&path.as_str()) {
            assert_no_trace(&path, &text);
        }
    }

    git(&project, &["init", "-q"]);
    git(&project, &["add", "-A"]);
    quiet(&mut lane.cargo(&project, &["fmt", "--check"]));
    quiet(&mut lane.test(&project, features));
    let status = git(&project, &["status", "--porcelain"]);
    let changed: Vec<&str> = status
        .lines()
        .filter(|line| !line.starts_with("A  "))
        .collect();
    assert!(
        changed.is_empty(),
        "building and testing changed {changed:?}"
    );

    let binary = lane
        .target()
        .join("debug")
        .join(name)
        .with_extension(env::consts::EXE_EXTENSION);
    visit(&Running::start(binary, lane), answers);
    // The next project shares none of it, and it is 200 MB.
    quiet(&mut lane.cargo(&project, &["clean", "-p", name]));
}

/// Succeeds, without a warning.
fn quiet(command: &mut Command) {
    let output = command.output().unwrap();
    assert_success(&output);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("warning:"), "{command:?} warns: {said}");
}

/// Nothing of the template, and nothing unrendered.
fn assert_no_trace(path: &str, text: &str) {
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
    // A workflow has `${{`.
    let unrendered = text
        .match_indices("{{")
        .find(|(at, _)| !text[..*at].ends_with('$'));
    assert!(unrendered.is_none(), "{path} has a `{{{{`");
    assert!(!path.ends_with(".liquid"), "{path} is a twin");
}

/// Logs in and out with the cookie engine of a real client.
fn visit(app: &Running, answers: &Answers) {
    let answer = |key: &str| answers.iter().find(|(known, _)| *known == key).unwrap().1;
    let (login, logout) = (answer("login_redirect"), answer("logout_redirect"));
    let kept = || {
        let jar = fs::read_to_string(&app.jar).unwrap();
        jar.contains(&format!("\t{}\t", answer("cookie_name")))
    };

    let (_, head) = app.curl("/login", &["-d", "user_id=alice"]);
    assert_eq!(head, format!("303 {}{login}", app.site));
    assert!(kept(), "curl keeps no cookie of this name");
    for page in [login, logout, "/", "/me"] {
        let (body, head) = app.curl(page, &[]);
        if page == "/login" {
            assert_eq!(head, format!("303 {}{login}", app.site));
            continue;
        }
        assert_eq!(head, "200 ", "{page}");
        assert!(
            body.contains("Logged in as") && body.contains("alice"),
            "{page}: {body}"
        );
    }
    let (_, head) = app.curl("/logout", &["-X", "POST"]);
    assert_eq!(head, format!("303 {}{logout}", app.site));
    assert!(!kept(), "curl keeps the cookie after logout");
    let (_, head) = app.curl("/me", &[]);
    assert_eq!(head, "401 ");
}

/// A generated app while it runs, and a visitor's cookies.
struct Running {
    child: Child,
    site: String,
    jar: PathBuf,
}

impl Running {
    /// Starts it in an empty folder on a free port, with nothing else set.
    fn start(binary: PathBuf, lane: &Lane) -> Self {
        let folder = lane.scratch("started");
        let jar = lane.scratch("visitor").join("cookies");
        fs::write(&jar, "").unwrap();
        let mut child = Command::new(binary)
            .current_dir(folder)
            .env_clear()
            // Windows opens no socket without it.
            .envs(env::var_os("SystemRoot").map(|root| ("SystemRoot", root)))
            .env("BIND_ADDR", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut app = Self {
            child,
            site: String::new(),
            jar,
        };
        let line = lines.recv_timeout(PATIENCE).expect("a line in time");
        let (_, port) = line
            .split_once("listening on http://127.0.0.1:")
            .expect(&line);
        // Over plain HTTP, a `Secure` cookie is kept for this name alone.
        app.site = format!("http://localhost:{port}");
        app
    }

    /// The body; then the status and where a redirect leads.
    fn curl(&self, path: &str, arguments: &[&str]) -> (String, String) {
        let output = Command::new("curl")
            .args(["--disable", "--silent", "--show-error", "--noproxy", "*"])
            .args([
                "--max-time",
                "60",
                "--write-out",
                "\n%{http_code} %{redirect_url}",
            ])
            .arg("--cookie")
            .arg(&self.jar)
            .arg("--cookie-jar")
            .arg(&self.jar)
            .args(arguments)
            .arg(format!("{}{path}", self.site))
            .output()
            .expect("curl, which must be installed");
        assert_success(&output);
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, head) = text.rsplit_once('\n').unwrap();
        (body.to_owned(), head.to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The quick subset, then whatever it takes until every pair has met: no set is smaller, because every
/// kind of name has to meet every kind of cookie's name.
fn projects() -> Vec<Answers> {
    let mut turns: BTreeMap<(&str, usize), usize> = BTreeMap::new();
    let mut projects = Vec::new();
    for w in 0..5 {
        for n in 0..5 {
            // For two of these sums modulo five, any two values occur together at one `w` and one `n`. So it
            // is with `w` itself, which alone is the same in all of the quick subset.
            let sum = |factor| (w + factor * n) % 5;
            let same_site = if w == 0 { n } else { w };
            let row = [n, sum(1), sum(2), same_site, sum(3), sum(4)];
            let answers = CHOICES.iter().zip(row).map(|((key, kinds), pick)| {
                let kind = pick % kinds.len();
                let turn = turns.entry((key, kind)).or_default();
                *turn += 1;
                (*key, kinds[kind][(*turn - 1) % kinds[kind].len()])
            });
            projects.push(answers.collect());
        }
    }
    projects
}
