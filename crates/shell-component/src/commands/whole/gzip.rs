//! `gzip`, `gunzip` and `zcat`.

use std::io::{Read, Write};

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};

use super::{
    buffered::{Buffered, Call},
    gnu_options::{Given, Known},
};
use crate::filesystem::Kind;

/// `gzip`.
pub(crate) const GZIP: Buffered = Buffered { wants_input, run: |call| run(call, "") };

/// `gunzip`.
pub(crate) const GUNZIP: Buffered = Buffered { wants_input, run: |call| run(call, "d") };

/// `zcat`.
pub(crate) const ZCAT: Buffered = Buffered { wants_input, run: |call| run(call, "dc") };

const KNOWN: Known = Known {
    short: "cdfhklLnNqrS:tvV123456789",
    long: &[
        ("stdout", 'c'),
        ("to-stdout", 'c'),
        ("decompress", 'd'),
        ("uncompress", 'd'),
        ("force", 'f'),
        ("keep", 'k'),
        ("list", 'l'),
        ("no-name", 'n'),
        ("name", 'N'),
        ("quiet", 'q'),
        ("recursive", 'r'),
        ("suffix=", 'S'),
        ("test", 't'),
        ("verbose", 'v'),
        ("version", 'V'),
        ("fast", '1'),
        ("best", '9'),
        ("rsyncable", '!'),
        ("synchronous", '"'),
    ],
};

const MAGIC: &[u8] = b"\x1f\x8b";

/// The exit code of a warning.
const WARNING: u8 = 2;

fn wants_input(arguments: &[String]) -> bool {
    KNOWN.parse(arguments).is_ok_and(|given| {
        given.operands.is_empty() || given.operands.iter().any(|operand| operand == "-")
    })
}

/// As `gzip -6` by itself does.
pub(crate) fn compressed(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    // Nothing is written but to memory.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// The error is in gzip's words.
pub(crate) fn expanded(bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    if !bytes.starts_with(MAGIC) {
        return Err("not in gzip format");
    }
    let mut plain = Vec::new();
    match MultiGzDecoder::new(bytes).read_to_end(&mut plain) {
        Ok(_) => Ok(plain),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Err("unexpected end of file")
        }
        Err(error) if error.kind() == std::io::ErrorKind::OutOfMemory => {
            Err("Cannot allocate memory: it is expanded as a whole")
        }
        Err(_) => Err("invalid compressed data--format violated"),
    }
}

struct Job {
    given: Given,
    expands: bool,
    to_output: bool,
    level: u32,
    suffix: String,
}

fn run(call: &mut Call<'_>, implied: &str) -> u8 {
    let given = match KNOWN.parse(call.arguments) {
        Ok(given) => given,
        Err(message) => {
            call.complain(message);
            return 1;
        }
    };
    if given.has('V') {
        call.say("gzip 1.12");
        return 0;
    }
    let levels = ['1', '2', '3', '4', '5', '6', '7', '8', '9'];
    let job = Job {
        expands: implied.contains('d') || given.has('d') || given.has('t'),
        to_output: implied.contains('c') || given.has('c'),
        level: given.last(&levels).and_then(|level| level.to_digit(10)).unwrap_or(6),
        suffix: given.value('S').unwrap_or(".gz").to_owned(),
        given,
    };
    if job.given.has('l') {
        return job.list(call);
    }
    let operands = match job.given.operands.as_slice() {
        [] => vec!["-".to_owned()],
        operands => operands.to_vec(),
    };
    let mut code = 0;
    for operand in &operands {
        code = code.max(job.operand(call, operand));
    }
    code
}

impl Job {
    fn operand(&self, call: &mut Call<'_>, name: &str) -> u8 {
        let is_directory =
            name != "-" && call.facts(name).is_ok_and(|facts| facts.kind == Kind::Directory);
        if is_directory {
            if !self.given.has('r') {
                call.complain(format_args!("{name} is a directory -- ignored"));
                return WARNING;
            }
            let entries = call.world.list(&call.path(name)).unwrap_or_default();
            let below = entries.into_iter().map(|entry| {
                if name == "." {
                    entry.name
                } else {
                    format!("{}/{}", name.trim_end_matches('/'), entry.name)
                }
            });
            let below: Vec<_> = below.collect();
            return below.iter().map(|name| self.operand(call, name)).max().unwrap_or(0);
        }
        let mut name = name.to_owned();
        if self.expands && name != "-" && call.facts(&name).is_err() {
            // `gunzip file` means file.gz.
            name.push_str(&self.suffix);
        }
        let bytes = match call.read(&name) {
            Ok(bytes) => bytes,
            Err(reason) => {
                call.complain(format_args!("{name}: {reason}"));
                return 1;
            }
        };
        let result = if self.expands {
            match expanded(&bytes) {
                Ok(plain) => plain,
                Err(_) if self.given.has('f') && self.to_output && !bytes.starts_with(MAGIC) => {
                    bytes
                }
                Err(message) => {
                    let shown = if name == "-" { "stdin" } else { &name };
                    call.complain(format_args!("{shown}: {message}"));
                    return 1;
                }
            }
        } else {
            compressed(&bytes, self.level)
        };
        if self.given.has('t') {
            return 0;
        }
        if self.to_output || name == "-" {
            call.output.extend(result);
            return 0;
        }
        self.replace(call, &name, &result)
    }

    fn replace(&self, call: &mut Call<'_>, name: &str, result: &[u8]) -> u8 {
        let target = if self.expands {
            match name.strip_suffix(&self.suffix) {
                Some(target) => target.to_owned(),
                None => match name.strip_suffix(".tgz") {
                    Some(target) => format!("{target}.tar"),
                    None => {
                        call.complain(format_args!("{name}: unknown suffix -- ignored"));
                        return WARNING;
                    }
                },
            }
        } else {
            if name.ends_with(&self.suffix) && !self.given.has('f') {
                call.complain(format_args!(
                    "{name} already has {} suffix -- unchanged",
                    self.suffix
                ));
                return WARNING;
            }
            format!("{name}{}", self.suffix)
        };
        let target_path = call.path(&target);
        if call.world.facts_of_link(&target_path).is_ok() && !self.given.has('f') {
            call.complain(format_args!("{target} already exists;\tnot overwritten"));
            return WARNING;
        }
        if let Err(reason) = call.write(&target, result) {
            call.complain(format_args!("{target}: {reason}"));
            return 1;
        }
        let path = call.path(name);
        if let Ok(facts) = call.world.facts(&path) {
            // Compressed is compressed, whatever becomes of its time.
            let _ = call.world.set_mode(&target_path, facts.mode);
            let _ = call.world.set_modified(&target_path, facts.modified);
        }
        if self.given.has('v') {
            let doing = if self.given.has('k') { "created" } else { "replaced with" };
            let line = format!("{name}:\t -- {doing} {target}\n");
            call.errors.extend_from_slice(line.as_bytes());
        }
        if !self.given.has('k')
            && let Err(error) = call.world.remove(&path, false)
        {
            call.complain(format_args!("{name}: {error}"));
            return 1;
        }
        0
    }

    fn list(&self, call: &mut Call<'_>) -> u8 {
        let mut code = 0;
        let mut lines = Vec::new();
        for name in &self.given.operands {
            let bytes = call.read(name);
            match bytes.map(|bytes| (bytes.len(), expanded(&bytes))) {
                Ok((length, Ok(plain))) => {
                    let ratio = match plain.len() {
                        0 => 0.0,
                        whole => (whole as f64 - length as f64 + 18.0) * 100.0 / whole as f64,
                    };
                    let shown = name.strip_suffix(&self.suffix).unwrap_or(name);
                    lines.push(format!("{length:>19} {:>19} {ratio:>5.1}% {shown}", plain.len()));
                }
                Ok((_, Err(message))) => {
                    call.complain(format_args!("{name}: {message}"));
                    code = 1;
                }
                Err(reason) => {
                    call.complain(format_args!("{name}: {reason}"));
                    code = 1;
                }
            }
        }
        if !lines.is_empty() {
            call.say("         compressed        uncompressed  ratio uncompressed_name");
            for line in lines {
                call.say(line);
            }
        }
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_comes_back() {
        let text = b"once upon a time ".repeat(100);
        let small = compressed(&text, 6);
        assert!(small.len() < text.len() / 4);
        assert_eq!(expanded(&small), Ok(text));
        assert_eq!(expanded(&small[..20]), Err("unexpected end of file"));
        assert_eq!(expanded(b"text"), Err("not in gzip format"));
    }
}
