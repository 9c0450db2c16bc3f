//! What is done in part: a pull that goes on, a removal that did not remove all, a copy from one
//! server to another.

use e2e_mover::{Fault, FaultProxy, Mover, Rule, Seen, random, rclone, versitygw};

const SIZE: usize = 20 << 20;

/// A pull with a state, bounded in the size of the file it may write.
fn pull(mover: &Mover, kib: usize) -> Seen {
    let script = format!(
        "ulimit -f {}; trap '' XFSZ; exec \"$DATASAFED\" -c \"$CONF\" --report report pull --resume state d/x out",
        kib * 2
    );
    let mut command = mover.program("sh");
    command.args(["-c", &script]).env("DATASAFED_MOVER_RESUME_STEP", "1000000");
    command.output().unwrap().into()
}

#[test]
fn a_pull_goes_on_where_it_ended() {
    let server = versitygw();
    let mover = Mover::new(&server.endpoint());
    let content = random(7, SIZE);
    mover.put("d/x", &content);
    pull(&mover, 12 << 10).fails("file too large");
    assert!(!mover.work("out").exists());
    pull(&mover, 1 << 20).ok("");
    assert!(mover.report().1.bytes <= (SIZE - (11 << 20)) as u64, "{:?}", mover.report());
    assert!(std::fs::read(mover.work("out")).unwrap() == content);
    assert!(!mover.work("state").exists());
    // Another version of the object.
    pull(&mover, 12 << 10).fails("file too large");
    let other = random(8, SIZE);
    mover.put("d/x", &other);
    pull(&mover, 1 << 20).ok("");
    assert_eq!(mover.report().1.bytes, SIZE as u64);
    assert!(std::fs::read(mover.work("out")).unwrap() == other);
}

#[test]
fn the_checksum_of_the_whole_object_is_compared_after_going_on() {
    let server = versitygw();
    let mover = Mover::new(&server.endpoint());
    mover.put("d/x", &random(7, SIZE));
    pull(&mover, 12 << 10).fails("file too large");
    // Bytes rot on the server; entity tag and size stay.
    let mut bytes = std::fs::read(server.object("d/x")).unwrap();
    bytes[SIZE - 100] ^= 1;
    let modified = std::fs::metadata(server.object("d/x")).unwrap().modified().unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(server.object("d/x")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes[SIZE - 100..], (SIZE - 100) as u64).unwrap();
    file.set_modified(modified).unwrap();
    pull(&mover, 1 << 20).fails("checksum");
    assert!(!mover.work("out").exists() && !mover.work(".dsf-part-out").exists(), "a damaged part is of no use");
}

#[test]
fn a_removal_that_is_refused_in_part_counts_what_stayed() {
    let server = versitygw();
    let direct = Mover::new(&server.endpoint());
    let dir = server.object("d");
    std::fs::create_dir_all(&dir).unwrap();
    for number in 0..1500 {
        std::fs::write(dir.join(format!("{number:05}")), "x").unwrap();
    }
    let batches = std::sync::atomic::AtomicUsize::new(0);
    let rule = Rule {
        fault: Fault::ExpiredToken,
        hits: Box::new(move |_, seen| {
            let batch = seen.method == "POST" && seen.target.contains("delete");
            batch && batches.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0
        }),
    };
    let proxy = FaultProxy::start(&server.address, vec![rule]);
    let seen = Mover::new(&proxy.endpoint()).run(["rm", "-r", "d"]);
    let left = server.objects("d").len();
    assert!(left == 1000 || left == 500, "{left}");
    seen.fails(&format!("{left} of 1500 objects could not be removed"));
    direct.run(["rm", "-r", "d"]).ok("");
    assert!(server.objects("").is_empty());
}

#[test]
fn objects_go_from_one_server_to_another() {
    let (one, two) = (versitygw(), rclone());
    let (from, to) = (Mover::new(&one.endpoint()), Mover::new(&two.endpoint()));
    let content = random(9, SIZE);
    from.put("b/large", &content);
    from.put("b/c/small", b"small");
    from.put("b/kubeblocks-backup.json", b"{}");
    let confs = [from.work("datasafed.conf"), to.work("datasafed.conf")].map(|path| path.display().to_string());
    from.run(["cp", "--from", &confs[0], "--to", &confs[1], "b", "copy"]).ok("");
    assert!(to.run(["pull", "copy/large", "-"]).bytes == content);
    to.run(["list", "-r", "-f", "/"]).ok("copy/c/small\ncopy/kubeblocks-backup.json\ncopy/large\n");
    // Into a directory, and a copy that is damaged on its way is not left.
    std::fs::create_dir(from.work("dir")).unwrap();
    let dir = from.work("dir").display().to_string();
    from.run(["cp", "--from", &confs[1], "--to", &dir, "copy/large"]).ok("");
    assert!(std::fs::read(from.work("dir/copy/large")).unwrap() == content);
}
