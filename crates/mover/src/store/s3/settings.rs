//! The S3 part of the configuration, and what providers do differently (mover.md §1.5).
//!
//! Enters: the keys of `[storage]`. Leaves: [`Settings`], in which nothing is left to decide.

use std::env;

use super::sign::Credentials;
use crate::error::{Error, Result, say};
use crate::ini::Ini;
use crate::size;

/// What a provider's server does in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// The provider's name in the configuration.
    pub name: &'static str,
    /// Buckets are part of the host name.
    pub virtual_host: bool,
    /// The second version of the listing.
    pub list_v2: bool,
    /// Listings may be asked for percent-encoded.
    pub url_encoding: bool,
    /// The entity tag of a multipart upload follows from those of its parts.
    pub tags: bool,
    /// Takes the newer checksum headers; others get Content-MD5 only.
    pub checksums: bool,
}

const AWS: Dialect =
    Dialect { name: "AWS", virtual_host: true, list_v2: true, url_encoding: true, tags: true, checksums: true };

/// The last one stands for every name that is not here.
const DIALECTS: [Dialect; 7] = [
    AWS,
    Dialect { name: "Alibaba", tags: false, checksums: false, ..AWS },
    Dialect { name: "TencentCOS", list_v2: false, checksums: false, ..AWS },
    Dialect { name: "HuaweiOBS", list_v2: false, url_encoding: false, checksums: false, ..AWS },
    Dialect { name: "GCS", checksums: false, ..AWS },
    Dialect { name: "Minio", virtual_host: false, ..AWS },
    Dialect { name: "Other", virtual_host: false, list_v2: false, url_encoding: false, tags: false, ..AWS },
];

/// Everything a client needs to know.
#[derive(Clone)]
pub struct Settings {
    /// The provider's ways, with what the configuration overrides.
    pub dialect: Dialect,
    /// `https` or `http`.
    pub scheme: &'static str,
    /// Host and port of the endpoint.
    pub host: String,
    /// Path of the endpoint, without trailing slash.
    pub base: String,
    /// Region for signatures.
    pub region: String,
    /// `None` sends requests unsigned.
    pub credentials: Option<Credentials>,
    /// Bucket; `None` when the first segment of each path names it.
    pub bucket: Option<String>,
    /// Prefix of all keys, without slashes at its ends.
    pub prefix: String,
    /// Do not make the bucket.
    pub no_check_bucket: bool,
    /// Do not verify the server's certificate.
    pub no_check_certificate: bool,
    /// Part size that the configuration asks for.
    pub chunk_size: Option<u64>,
    /// Headers for every new object.
    pub put_headers: Vec<(&'static str, String)>,
}

impl Settings {
    /// Reads the section.
    pub fn read(ini: &Ini) -> Result<Self> {
        let get = |key: &str| ini.get("storage", key).map(str::trim).filter(|value| !value.is_empty());
        let flag = |key: &str| {
            get(key).and_then(|value| match value {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
                _ => None,
            })
        };
        let name = get("provider").unwrap_or("Other");
        let [.., other] = DIALECTS;
        let mut dialect = DIALECTS.into_iter().find(|dialect| dialect.name.eq_ignore_ascii_case(name)).unwrap_or(other);
        let (bucket, prefix) = split_root(get("root").unwrap_or_default());
        match flag("force_path_style") {
            Some(true) if dialect.virtual_host => {
                // MD6: the reference ignores it; emulators behind these names need it.
                say!("Warning: force_path_style = true is honoured for provider {}", dialect.name);
                dialect.virtual_host = false;
            }
            Some(path_style) if !matches!(dialect.name, "AWS" | "Alibaba" | "TencentCOS" | "HuaweiOBS" | "GCS") => {
                dialect.virtual_host = !path_style;
            }
            _ => {}
        }
        if bucket.as_deref().is_none_or(|bucket| bucket.contains(['.', '_'])) {
            dialect.virtual_host = false;
        }
        match get("list_version") {
            Some("1") => dialect.list_v2 = false,
            Some("2") => dialect.list_v2 = true,
            _ => {}
        }
        let region = get("region").unwrap_or("us-east-1").to_owned();
        let endpoint = match (get("endpoint"), dialect.name) {
            (Some(endpoint), _) => endpoint.to_owned(),
            // China is another partition, with names of its own.
            (None, "AWS") if region.starts_with("cn-") => format!("s3.{region}.amazonaws.com.cn"),
            (None, "AWS") => format!("s3.{region}.amazonaws.com"),
            (None, "GCS") => "storage.googleapis.com".to_owned(),
            (None, _) => return Err(Error::Config(format!("provider {name} needs an endpoint in the configuration"))),
        };
        let (scheme, host, base) = split_endpoint(&endpoint)?;
        let chunk_size = match get("chunk_size") {
            None => None,
            Some(text) => size::parse(text, 1024)
                .map(|size| Some(size).filter(|size| *size > 0))
                .ok_or_else(|| Error::Config(format!("chunk_size = {text:?} in the configuration is not a size")))?,
        };
        let put_headers = [
            ("x-amz-storage-class", "storage_class"),
            ("x-amz-acl", "acl"),
            ("x-amz-server-side-encryption", "server_side_encryption"),
            ("x-amz-server-side-encryption-aws-kms-key-id", "sse_kms_key_id"),
        ];
        Ok(Self {
            dialect,
            scheme,
            host,
            base,
            region,
            credentials: credentials(flag("env_auth").unwrap_or(false), &get)?,
            bucket,
            prefix,
            no_check_bucket: flag("no_check_bucket").unwrap_or(false),
            no_check_certificate: flag("no_check_certificate").unwrap_or(false),
            chunk_size,
            put_headers: put_headers
                .into_iter()
                .filter_map(|(header, key)| Some((header, get(key)?.to_owned())))
                .collect(),
        })
    }
}

fn credentials<'a>(env_auth: bool, get: &dyn Fn(&str) -> Option<&'a str>) -> Result<Option<Credentials>> {
    let text = |key: &str| get(key).map(str::to_owned);
    match (text("access_key_id"), text("secret_access_key")) {
        (Some(access_key), Some(secret_key)) => {
            Ok(Some(Credentials { access_key, secret_key, session_token: text("session_token") }))
        }
        (None, None) if env_auth => {
            let var = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
            match (var("AWS_ACCESS_KEY_ID"), var("AWS_SECRET_ACCESS_KEY")) {
                (Some(access_key), Some(secret_key)) => {
                    Ok(Some(Credentials { access_key, secret_key, session_token: var("AWS_SESSION_TOKEN") }))
                }
                _ => Err(Error::Config(
                    "env_auth = true, but AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set".to_owned(),
                )),
            }
        }
        (None, None) => Ok(None),
        _ => Err(Error::Config("the configuration has only one of access_key_id and secret_access_key".to_owned())),
    }
}

/// Bucket and prefix of `root`.
fn split_root(root: &str) -> (Option<String>, String) {
    let root = root.trim_matches('/');
    let (bucket, prefix) = root.split_once('/').unwrap_or((root, ""));
    let prefix = prefix.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/");
    (Some(bucket.to_owned()).filter(|bucket| !bucket.is_empty()), prefix)
}

/// Scheme, host with port, and path; no scheme means https.
fn split_endpoint(endpoint: &str) -> Result<(&'static str, String, String)> {
    let (scheme, rest) = match endpoint.split_once("://") {
        None => ("https", endpoint),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => ("https", rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => ("http", rest),
        Some(_) => {
            return Err(Error::Config(format!(
                "the endpoint {endpoint:?} has a scheme that is neither http nor https"
            )));
        }
    };
    let (host, base) = rest.split_once('/').unwrap_or((rest, ""));
    let port = if scheme == "https" { ":443" } else { ":80" };
    let host = host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
    if host.is_empty() || host.contains(['@', '?', '#', ' ']) {
        return Err(Error::Config("the endpoint in the configuration is not a host name".to_owned()));
    }
    let base = base.trim_matches('/');
    Ok((scheme, host, if base.is_empty() { String::new() } else { format!("/{base}") }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Settings {
        Settings::read(&Ini::parse(&format!("[storage]\ntype = s3\n{text}")).unwrap()).unwrap()
    }

    const COMMON: &str = "env_auth = false\naccess_key_id = k\nsecret_access_key = s#;x\nroot = bucket\n\
        no_check_certificate =\nno_check_bucket = true\nchunk_size = 50Mi\n";

    #[test]
    fn case_21_templates_of_the_providers_give_the_table() {
        // provider, extra lines; scheme, host, virtual host, v2, url-encoding
        for (extra, expected) in [
            (
                "provider = AWS\nregion = cn-north-1\nendpoint =\n",
                ("https", "s3.cn-north-1.amazonaws.com.cn", true, true, true),
            ),
            ("provider = AWS\nregion =\nendpoint =\n", ("https", "s3.us-east-1.amazonaws.com", true, true, true)),
            ("provider = Minio\nregion =\nendpoint = http://minio:9000\n", ("http", "minio:9000", false, true, true)),
            (
                "provider = Alibaba\nendpoint = oss-cn-x.aliyuncs.com\nuse_already_exists=false\n",
                ("https", "oss-cn-x.aliyuncs.com", true, true, true),
            ),
            (
                "provider = TencentCOS\nendpoint = cos.ap-x.myqcloud.com\n",
                ("https", "cos.ap-x.myqcloud.com", true, false, true),
            ),
            (
                "provider = HuaweiOBS\nregion = cn-x\nendpoint = obs.cn-x.myhuaweicloud.com\n",
                ("https", "obs.cn-x.myhuaweicloud.com", true, false, false),
            ),
            (
                "provider = GCS\nregion =\nendpoint = https://storage.googleapis.com\n",
                ("https", "storage.googleapis.com", true, true, true),
            ),
            (
                "provider = Other\nregion =\nendpoint = HTTP://H:80/\nforce_path_style = true\n",
                ("http", "h", false, false, false),
            ),
            ("provider = Other\nendpoint = h\nforce_path_style = false\n", ("https", "h", true, false, false)),
            ("provider = Whatever\nendpoint = h:443\n", ("https", "h", false, false, false)),
            ("provider = AWS\nforce_path_style = true\n", ("https", "s3.us-east-1.amazonaws.com", false, true, true)),
            ("provider = AWS\nroot = a.b/c//d/\n", ("https", "s3.us-east-1.amazonaws.com", false, true, true)),
        ] {
            let settings = read(&format!("{COMMON}{extra}"));
            let dialect = settings.dialect;
            let seen =
                (settings.scheme, settings.host.as_str(), dialect.virtual_host, dialect.list_v2, dialect.url_encoding);
            assert_eq!(seen, expected, "{extra}");
            assert!(!settings.no_check_certificate && settings.no_check_bucket);
            assert_eq!(settings.chunk_size, Some(50 << 20));
            assert_eq!(settings.credentials.unwrap().secret_key, "s#;x");
        }
        let settings = read(&format!("{COMMON}root = a.b/c//d/\nprovider = AWS\n"));
        assert_eq!((settings.bucket.as_deref(), settings.prefix.as_str()), (Some("a.b"), "c/d"));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, said) in [
            ("provider = Minio\n", "needs an endpoint"),
            ("provider = AWS\nchunk_size = many\n", "chunk_size"),
            ("provider = AWS\naccess_key_id = k\n", "only one of"),
            ("provider = AWS\nendpoint = ftp://x\n", "neither http nor https"),
        ] {
            let ini = Ini::parse(&format!("[storage]\n{text}")).unwrap();
            let error = Settings::read(&ini).err().unwrap().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
