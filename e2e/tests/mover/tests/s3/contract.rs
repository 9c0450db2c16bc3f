//! What scripts see of a store without directories (mover.md §1.3, §1.4).

use e2e_mover::{BUCKET, Mover, Server, feed, versitygw};
use serde_json::Value;

fn both() -> (Server, Mover) {
    let server = versitygw();
    let mover = Mover::new(&server.endpoint());
    (server, mover)
}

#[test]
fn case_1_paths_are_echoed_as_names() {
    let (_server, mover) = both();
    mover.put("a/b/c.txt", b"hello");
    for path in ["a/b/c.txt", "/a/b/c.txt", "./a//b/c.txt"] {
        mover.run(["list", path]).ok("a/b/c.txt\n");
    }
    mover.run(["pull", "/a/b/c.txt", "-"]).ok("hello");
    mover.run(["list", "a/b/c.txt/"]).ok("");
}

#[test]
fn case_2_the_base_path_is_a_prefix() {
    let server = versitygw();
    let mover = Mover::with(&server.endpoint(), "Minio", &format!("{BUCKET}/root/"), "");
    let mut push = mover.command(["push", "-", "/x"]);
    push.env("DATASAFED_BACKEND_BASE_PATH", "/ns/bk1");
    feed(push, b"1").ok("");
    assert_eq!(server.objects(""), [("root/ns/bk1/x".to_owned(), 1)]);
    let mut list = mover.command(["list", "/"]);
    list.env("DATASAFED_BACKEND_BASE_PATH", "ns/bk1/");
    feed(list, b"").ok("x\n");
}

#[test]
fn case_3_what_is_missing_is_empty() {
    let (_server, mover) = both();
    mover.run(["list", "missing"]).ok("");
    mover.run(["list", "missing/"]).ok("");
    mover.run(["list", "/"]).ok("");
    mover.run(["stat", "missing"]).ok("TotalSize: 0\nEntries: 0\nDirs: 0\nFiles: 0\n");
    mover.run(["stat", "/"]).ok("TotalSize: 0\nEntries: 0\nDirs: 0\nFiles: 0\n");
    mover.run(["rm", "missing"]).ok("");
    mover.run(["rm", "-r", "missing"]).ok("");
    mover.run(["rmdir", "missing"]).ok("");
    mover.run(["mkdir", "missing"]).ok("");
    mover.run(["pull", "missing", "-"]).fails("pull \"missing\": object not found");
    mover.run(["pull", "missing", "local"]).fails("object not found");
    assert!(!mover.work("local").exists());
}

#[test]
fn case_4_totals_count_directories() {
    let (_server, mover) = both();
    mover.put("a/two", b"12");
    mover.put("a/three", b"123");
    mover.put("b/six", b"123456");
    mover.run(["stat", "/"]).ok("TotalSize: 11\nEntries: 5\nDirs: 2\nFiles: 3\n");
    mover.run(["stat", "--json", "/"]).ok("{\"dirs\":2,\"entries\":5,\"files\":3,\"total_size\":11}\n");
    mover.run(["stat", "a/two"]).ok("TotalSize: 2\nEntries: 1\nDirs: 0\nFiles: 1\n");
}

#[test]
fn case_5_6_md1_json_is_one_array_on_one_line() {
    let (_server, mover) = both();
    mover.run(["list", "-o", "json", "empty"]).ok("[]\n");
    for path in ["d/a", "d/b c", "d/e/\u{e9}\"\n"] {
        mover.put(path, b"1");
    }
    let seen = mover.run(["list", "-r", "-f", "-o", "json", "/"]);
    assert_eq!(seen.stdout.matches('\n').count(), 1, "{seen:?}");
    let rows: Vec<Value> = serde_json::from_str(&seen.stdout).unwrap();
    let paths: Vec<_> = rows.iter().map(|row| row["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["d/a", "d/b c", "d/e/\u{e9}\"\n"]);
    mover.run(["pull", paths[2], "-"]).ok("1");
    let rows: Vec<Value> = serde_json::from_str(&mover.run(["list", "-d", "-o", "json", "/"]).stdout).unwrap();
    assert_eq!(
        (&rows[0]["path"], &rows[0]["is_dir"], &rows[0]["mtime"]),
        (&"d".into(), &true.into(), &946_684_800.into())
    );
}

#[test]
fn case_7_8_md2_orders_and_windows() {
    let (server, mover) = both();
    for (path, size, mtime) in [("d/b", 3, 100u64), ("d/a", 1, 300), ("d/C", 2, 200)] {
        mover.put(path, &vec![b'x'; size]);
        let file = std::fs::File::open(server.object(path)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(mtime)).unwrap();
    }
    mover.run(["list", "-f", "--recursive", "-s", "mtime", "/"]).ok("d/b\nd/C\nd/a\n");
    mover.run(["list", "-d", "-f", "/"]).fails("");
    mover.run(["list", "d", "--newer-than", "100", "--older-than", "300"]).ok("d/C\n");
    mover.run(["list", "d"]).ok("d/C\nd/a\nd/b\n");
    mover.run(["list", "d", "-s", "size", "--reverse"]).ok("d/b\nd/C\nd/a\n");
    mover.run(["list", "d", "--name", "[ab]"]).ok("d/a\nd/b\n");
    mover.run(["list", "-r", "/"]).ok("d/C\nd/a\nd/b\nd/\n");
    mover.run(["list", "d/b", "-o", "long"]).ok("1970-01-01T00:01:40Z\t3\td/b\n");
}

#[test]
fn directories_come_after_files_and_to_a_depth() {
    let (_server, mover) = both();
    for path in ["x/y/z/deep", "x/top", "x-1", "base"] {
        mover.put(path, b"1");
    }
    mover.run(["list", "/"]).ok("base\nx/\nx-1\n");
    mover.run(["list", "-r", "/"]).ok("base\nx-1\nx/top\nx/y/z/deep\nx/\nx/y/\nx/y/z/\n");
    mover.run(["list", "-r", "--max-depth", "2", "/"]).ok("base\nx-1\nx/top\nx/\nx/y/\n");
    mover.run(["list", "-r", "--max-depth", "1", "/"]).ok("base\nx-1\nx/\n");
    mover.run(["list", "-d", "-r", "/"]).ok("x/\nx/y/\nx/y/z/\n");
    mover.run(["list", "/x//"]).ok("x/top\nx/y/\n");
}

#[test]
fn md8_removal_is_careful() {
    let (server, mover) = both();
    for path in ["keep", "d/1", "d/e/2", "d-1"] {
        mover.put(path, b"1");
    }
    mover.run(["rm", "-r", "/"]).fails("--force-root");
    mover.run(["rm", "-r", ""]).fails("--force-root");
    mover.run(["rm", "-r", "keep"]).fails("is a file not a directory");
    mover.run(["rm", "d"]).ok("");
    assert_eq!(server.objects("").len(), 4);
    mover.run(["rm", "-r", "d"]).ok("");
    let left: Vec<_> = server.objects("").into_iter().map(|(name, _)| name).collect();
    assert_eq!(left, ["d-1", "keep"]);
    mover.run(["rm", "keep"]).ok("");
    mover.run(["rm", "-r", "--force-root", "/"]).ok("");
    assert!(server.objects("").is_empty());
}

#[test]
fn the_operators_commands_work() {
    let (server, mover) = both();
    let mut check = mover.command(["precheck", "/repo"]);
    check.env("DATASAFED_MOVER_TERMLOG_FILE", mover.work("termination"));
    feed(check, b"").ok("");
    mover.put("ns/backup/data", b"1");
    let mut delete = mover.command(["delete", "/ns/backup"]);
    delete.env("DATASAFED_MOVER_TERMLOG_FILE", mover.work("termination"));
    feed(delete, b"").ok("");
    assert!(server.objects("").is_empty(), "{:?}", server.objects(""));
    mover.run(["getconf", "storage.type"]).ok("s3\n");
    mover.run(["getconf", "storage.nope"]).fails("config item \"storage.nope\" not found");
    assert!(mover.run(["version"]).stdout.starts_with("datasafed: "));
}

#[test]
fn thousands_of_objects_are_listed_and_removed() {
    let (server, mover) = both();
    let dir = server.object("many");
    std::fs::create_dir_all(dir.join("sub")).unwrap();
    for number in 0..2345 {
        std::fs::write(dir.join(format!("{number:05}")), "x").unwrap();
        std::fs::write(dir.join(format!("sub/{number:05}")), "xy").unwrap();
    }
    mover.run(["stat", "many"]).ok("TotalSize: 7035\nEntries: 4691\nDirs: 1\nFiles: 4690\n");
    assert_eq!(mover.run(["list", "-r", "-f", "/"]).stdout.lines().count(), 4690);
    let v1 = Mover::with(&server.endpoint(), "Other", BUCKET, "");
    assert_eq!(v1.run(["list", "-r", "-f", "/"]).stdout.lines().count(), 4690);
    assert_eq!(v1.run(["list", "many"]).stdout.lines().count(), 2346);
    mover.run(["rm", "-r", "many"]).ok("");
    assert!(server.objects("").is_empty());
}
