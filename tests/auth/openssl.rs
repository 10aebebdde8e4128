//! Keys and certificates, made by the system's openssl for each test anew.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A folder of keys and certificates.
pub struct Desk(pub TempDir);

impl Desk {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs openssl in the folder, with the words of one line.
    pub fn openssl(&self, line: &str) {
        let done = Command::new("openssl").args(line.split_whitespace()).current_dir(self.0.path()).output().unwrap();
        assert!(done.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// A private key as `<name>.key` and its public key as `<name>.pub`.
    pub fn key(&self, name: &str, kind: &str) {
        let kind = match kind {
            "rsa" => "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
            "ec" => "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
            "p384" => "-algorithm EC -pkeyopt ec_paramgen_curve:P-384",
            other => panic!("no kind of key: {other}"),
        };
        self.openssl(&format!("genpkey {kind} -out {name}.key"));
        self.openssl(&format!("pkey -in {name}.key -pubout -out {name}.pub"));
    }

    /// An authority as `<name>.pem` and `<name>.key`.
    pub fn authority(&self, name: &str) {
        self.key(name, "ec");
        self.openssl(&format!("req -x509 -new -key {name}.key -subj /CN={name} -days 30 -out {name}.pem"));
    }

    /// A certificate of an authority as `<name>.pem` and `<name>.key`, that holds for so many days from now; a negative
    /// number makes one that is over.
    pub fn certificate(&self, name: &str, authority: &str, more: &str, days: i32) {
        self.key(name, "ec");
        self.certificate_of_key(name, authority, more, days);
    }

    pub fn certificate_of_key(&self, name: &str, authority: &str, more: &str, days: i32) {
        fs::write(self.path(&format!("{name}.ext")), format!("basicConstraints=CA:FALSE\n{more}\n")).unwrap();
        self.openssl(&format!("req -new -key {name}.key -subj /CN={name} -out {name}.csr"));
        if days > 0 {
            return self.openssl(&format!(
                "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days {days} \
                 -extfile {name}.ext -out {name}.pem"
            ));
        }
        self.dated(name, authority, "20200101000000Z", "20210101000000Z");
    }

    /// Signs the request of `name` for a certificate that holds between two times, such as `20200101000000Z`.
    pub fn dated(&self, name: &str, authority: &str, from: &str, until: &str) {
        let lines = [
            "[ca]\ndefault_ca=c\n[c]\nnew_certs_dir=.\ndatabase=index\nserial=serial\ndefault_md=sha256\n",
            "unique_subject=no\npolicy=p\n[p]\ncommonName=supplied\n",
        ];
        fs::write(self.path("ca.conf"), lines.concat()).unwrap();
        fs::write(self.path("index"), "").unwrap();
        fs::write(self.path("serial"), "77\n").unwrap();
        self.openssl(&format!(
            "ca -batch -notext -config ca.conf -cert {authority}.pem -keyfile {authority}.key -in {name}.csr -out {name}.pem \
             -extfile {name}.ext -startdate {from} -enddate {until}"
        ));
    }
}

/// Puts a file in the place of another, at one moment.
pub fn replace(from: &Path, to: &Path) {
    let beside = to.with_extension("new");
    fs::copy(from, &beside).unwrap();
    fs::rename(beside, to).unwrap();
}
