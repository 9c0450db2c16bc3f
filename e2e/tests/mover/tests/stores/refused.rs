//! Configurations that are not served: one line each.

use e2e_mover::Mover;

#[test]
fn types_that_are_not_served_say_so() {
    for (section, says) in [
        ("type = dropbox\n", "unsupported storage type \"dropbox\": this build serves the types local, s3"),
        ("type =\n", "unsupported storage type \"\""),
        ("type = sftp\nhost = h\n", "storage type \"sftp\" is not served"),
        ("type = b2\n", "use type s3"),
        ("type = ftp\n", "storage type \"ftp\" needs host"),
        ("type = ftp\nhost = h\nport = many\n", "port = \"many\" is not a port"),
        ("type = ftp\nhost = h\ntls = true\nexplicit_tls = true\n", "exclude each other"),
        ("type = ftp\nhost = h\npass = plain\n", "pass in the configuration is not an obscured value"),
        ("type = webdav\nurl = ftp://h\n", "is not an address"),
        ("type = webdav\nurl = http://h\nuser = u\npass = plain\n", "is not an obscured value"),
        ("type = azureblob\nroot = c\naccount = a\n", "needs key or sas_url"),
        ("type = azureblob\nroot = c\n", "needs account"),
        ("type = google cloud storage\nroot = b\n", "needs service_account_file"),
        ("type = oss\nroot = b\n", "provider Alibaba needs an endpoint"),
    ] {
        let mover = Mover::with_section(section);
        for args in [["list", "/"], ["mkdir", "x"]] {
            let seen = mover.run(args);
            assert_eq!((seen.exit, seen.stderr.lines().count()), (1, 1), "{section}{seen:?}");
            seen.fails(says);
        }
    }
}
