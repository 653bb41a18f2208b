//! Ended sessions stay ended: after a restart, a crash, a jump of the clock, and while the disk is full.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{fs, sync::mpsc::channel, thread};

use common::{process::*, *};
use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableDefinition};

#[tokio::test]
async fn a_logout_outlives_a_restart_and_a_clock_that_jumps_ahead_and_back() {
    let file = working_folder().join("ended");
    let app = TestApp::with_store(&file, 0);
    let live = app.login_as("alice").await;
    let (ended, everywhere) = (app.login_as("alice").await, app.login_as("bob").await);
    app.at(LIFETIME / 2);
    let other = app.login_as("alice").await;
    app.logout(&ended).await;
    app.logout_everywhere(&everywhere).await;
    // The jump is shorter than a session. In it there is a logout, and then a start.
    let jump = LIFETIME / 2 + LIFETIME - 1;
    app.at(jump);
    app.logout(&other).await;
    drop(app);
    drop(TestApp::with_store(&file, jump));
    let app = TestApp::with_store(&file, 0);
    for ended in [&ended, &everywhere, &other] {
        app.refuses(ended).await;
    }
    app.opens(&live, "alice").await;
}

#[tokio::test]
async fn logout_everywhere_ends_all_sessions_of_the_user_issued_before_now() {
    let app = TestApp::new();
    let first = app.login_as("alice").await;
    app.at(LIFETIME / 4);
    let (second, bob) = (app.login_as("alice").await, app.login_as("bob").await);
    for cookie in [NO_COOKIE, &format!("{second}x"), &first] {
        app.opens(&second, "alice").await;
        let answer = app.logout_everywhere(cookie).await;
        answer.redirects_to(LOGOUT_REDIRECT);
        assert_eq!(answer.cookie(), format!("{COOKIE_NAME}="));
    }
    app.refuses(&second).await;
    app.opens(&bob, "bob").await;
    // In the very same second; an ended session ends no other.
    let third = app.login_as("alice").await;
    app.logout_everywhere(&first).await;
    app.opens(&third, "alice").await;
}

#[tokio::test]
async fn what_no_longer_counts_is_forgotten_and_the_file_does_not_grow_for_ever() {
    let file = working_folder().join("ended");
    for round in 0..3 {
        // Every round comes when nothing of the last one counts, also after a jump of the clock.
        let begin = round * 2 * LIFETIME;
        let app = TestApp::with_store(&file, begin);
        for _ in 0..20 {
            let cookie = app.login_as("alice").await;
            app.logout(&cookie).await;
            app.refuses(&cookie).await;
        }
        drop(app);
        let database = Database::open(&file).unwrap();
        let ended = TableDefinition::<(i64, &str), i64>::new("ended_sessions");
        let ended = database.begin_read().unwrap().open_table(ended).unwrap();
        assert_eq!(ended.len().unwrap(), 20);
    }
}

#[test]
fn a_file_that_cannot_be_the_store_stops_the_start() {
    let (folder, key) = (working_folder(), key(b'a'));
    let settings = [ANY_PORT, OPEN, ("SESSION_KEYS", &key)];
    let refused = |problem: &str| {
        let said = Process::start(&folder, &[], &settings).refusal();
        let start = format!("error: REVOCATION_FILE = revocations.redb: {problem}");
        assert!(said.starts_with(&start), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    };
    let (running, address) = Process::serving(&folder, &[]);
    assert_eq!(logout(address, &login(address, "alice")), 303);
    refused("another process has it open: instances that run at once share REDIS_URL");
    drop(running);

    let file = folder.join("revocations.redb");
    let whole = fs::read(&file).unwrap();
    for (bad, problem) in [
        (vec![], "the file is empty, as after a crash of the machine"),
        (b"something else".to_vec(), ""),
        (whole[..whole.len() / 2].to_vec(), ""),
        ([&[0; 4096], &whole[4096..]].concat(), ""),
        (whole.iter().map(|byte| byte ^ 1).collect(), ""),
    ] {
        fs::write(&file, &bad).unwrap();
        refused(problem);
    }
    fs::write(&file, &whole).unwrap();
    Process::serving(&folder, &[]);
}

#[test]
fn no_logout_that_was_answered_is_forgotten_when_the_process_is_killed() {
    let folder = working_folder();
    let (mut process, mut address) = Process::serving(&folder, &[]);
    let cookies: Vec<String> = (0..400).map(|_| login(address, "alice")).collect();
    let mut batches = cookies.chunks(80);
    let mut answered = Vec::new();
    for batch in batches.by_ref().take(4) {
        // Killed while eight clients log out.
        let (sender, receiver) = channel();
        thread::scope(|scope| {
            for cookies in batch.chunks(batch.len() / 8) {
                let sender = sender.clone();
                scope.spawn(move || {
                    for cookie in cookies {
                        // Where it could not answer, nobody was promised anything.
                        let answer = send(address, "POST /logout", &cookie_header(cookie), "");
                        if answer.is_ok_and(|answer| answer.status == 303) {
                            sender.send(cookie).unwrap();
                        }
                    }
                });
            }
            drop(sender);
            answered.extend(receiver.iter().take(batch.len() / 2));
            process.kill();
            answered.extend(receiver.iter());
        });
        (process, address) = Process::serving(&folder, &[]);
    }
    assert!(answered.len() >= 160, "{}", answered.len());
    assert!(answered.iter().all(|cookie| status(address, cookie) == 401));
    // Who did not ask to log out is still there.
    let mut live = batches.flatten();
    assert!(live.all(|cookie| status(address, cookie) == 200));
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_full_disk_a_logout_is_answered_503_and_the_app_recovers_by_itself() {
    let (folder, key) = (working_folder(), key(b'a'));
    let settings = [ANY_PORT, OPEN, ("SESSION_KEYS", &*key)];
    // Without this the first write too many would end the process, which a full disk does not.
    let ignore = ["-c", "trap '' XFSZ; exec \"$0\"", PROGRAM];
    let process = Process::spawn(&mut command("sh", &folder, &ignore, &settings));
    let address = process.address();
    let [before, during, other] = ["alice", "alice", "bob"].map(|name| login(address, name));
    assert_eq!(logout(address, &before), 303);
    let ready = || get(address, "/@readyz", "").status;
    assert_eq!(ready(), 200);
    let may_write = |bytes: &str| {
        let process = process.id();
        shell(&format!(
            "prlimit --pid={process} --fsize={bytes}:unlimited"
        ));
    };
    // A file that may not grow is what a full disk has.
    let length = fs::metadata(folder.join("revocations.redb")).unwrap().len();
    may_write(&length.to_string());
    for path in ["/logout", "/logout/everywhere", "/login"] {
        let answer = post(address, path, &during, "user_id=alice");
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert_eq!(answer.header("retry-after"), Some("5"));
        // The cookie stays, so that the visitor can try again.
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!([ready(), get(address, "/healthz", "").status], [503, 200]);
    }
    assert_eq!(status(address, &before), 401);
    assert_eq!(status(address, &during), 200);
    assert_eq!(logout(address, ""), 303);
    may_write("unlimited");
    assert_eq!((ready(), logout(address, &during)), (200, 303));
    drop(process);
    let (_process, address) = Process::serving(&folder, &[]);
    let now = [&before, &during, &other].map(|cookie| status(address, cookie));
    assert_eq!(now, [401, 401, 200]);
}
