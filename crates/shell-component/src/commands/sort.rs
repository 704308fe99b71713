//! `sort`. What does not fit is sorted in pieces, which lie in `$TMPDIR` meanwhile.

mod order;

use std::{
    cmp::Ordering,
    io::{self, BufReader, Read, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering as Atomic},
    },
};

use self::order::Order;
use super::options::{Argument, Line, Options, Value};
use crate::{
    command::{Command, Invocation, Pending},
    engine::reason,
    filesystem::World,
};

const OPTIONS: &Options = &[
    ('b', "ignore-leading-blanks", Value::None),
    ('d', "dictionary-order", Value::None),
    ('f', "ignore-case", Value::None),
    ('g', "general-numeric-sort", Value::None),
    ('h', "human-numeric-sort", Value::None),
    ('i', "ignore-nonprinting", Value::None),
    ('M', "month-sort", Value::None),
    ('n', "numeric-sort", Value::None),
    ('R', "random-sort", Value::None),
    ('r', "reverse", Value::None),
    ('V', "version-sort", Value::None),
    ('c', "check", Value::None),
    ('C', "C", Value::None),
    ('k', "key", Value::Required),
    ('m', "merge", Value::None),
    ('o', "output", Value::Required),
    ('S', "buffer-size", Value::Required),
    ('s', "stable", Value::None),
    ('T', "temporary-directory", Value::Required),
    ('t', "field-separator", Value::Required),
    ('u', "unique", Value::None),
    ('z', "zero-terminated", Value::None),
    ('\u{10}', "parallel", Value::Required),
    ('\u{11}', "files0-from", Value::Required),
];

/// How many bytes of lines are sorted at once: with what is needed to sort them, a third of the
/// memory that a turn has.
const PIECE: usize = 48 * 1024 * 1024;

/// Sorts lines.
#[derive(Debug)]
pub(super) struct Sort;

#[derive(Default)]
struct Request {
    order: Order,
    check: Option<bool>,
    output: Option<String>,
    directory: Option<String>,
    end: u8,
    files: Vec<String>,
}

impl Command for Sort {
    fn run<'a>(&'a self, mut call: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            let parsed = match call.line(OPTIONS, 2).await? {
                Line::Run(parsed) => parsed,
                Line::Done(code) => return Ok(code),
            };
            let request = match request(&parsed) {
                Ok(request) => request,
                Err(message) => {
                    call.complain(message).await?;
                    return Ok(2);
                }
            };
            if let Some(silent) = request.check {
                return check(&mut call, &request, silent).await;
            }
            let directory = request
                .directory
                .clone()
                .or_else(|| call.environment.get("TMPDIR").cloned())
                .unwrap_or_else(|| "/tmp".to_owned());
            let mut pieces = Pieces {
                world: Arc::clone(&call.world),
                directory: call.path(&directory),
                files: Vec::new(),
            };
            let mut lines = Lines::default();
            for file in &request.files {
                let mut feed = match if file == "-" {
                    call.open("/dev/stdin").await
                } else {
                    call.open(file).await
                } {
                    Ok(feed) => feed,
                    Err(error) => {
                        call.complain(format!("cannot read: {file}: {}", reason(&error))).await?;
                        return Ok(2);
                    }
                };
                loop {
                    match feed.lines(request.end).await {
                        Ok(None) => break,
                        Ok(Some(text)) => lines.add(text, request.end),
                        Err(error) => {
                            call.complain_about(file, error).await?;
                            return Ok(2);
                        }
                    }
                    if lines.is_full() {
                        lines.sort(&request.order);
                        if let Err(error) = pieces.write(&lines, &request.order, request.end) {
                            let place = pieces.directory.display().to_string();
                            let why = reason(&error);
                            call.complain(format!(
                                "cannot create temporary file in '{place}': {why}"
                            ))
                            .await?;
                            return Ok(2);
                        }
                        lines.clear();
                    }
                }
            }
            lines.sort(&request.order);
            write(&mut call, &request, lines, &pieces).await
        })
    }
}

fn request(parsed: &[Argument<'_>]) -> Result<Request, String> {
    let mut request = Request { end: b'\n', ..Request::default() };
    for argument in parsed {
        if let Argument::Option(letter, _) = argument {
            request.order.flags.set(*letter);
        }
    }
    for argument in parsed {
        match argument {
            Argument::Option('c', _) => request.check = Some(false),
            Argument::Option('C', _) => request.check = Some(true),
            Argument::Option('k', Some(value)) => {
                request.order.keys.push(order::key(value, request.order.flags)?);
            }
            Argument::Option('o', Some(value)) => request.output = Some((*value).to_owned()),
            Argument::Option('T', Some(value)) => request.directory = Some((*value).to_owned()),
            Argument::Option('t', Some(value)) => {
                request.order.separator = Some(match value.as_bytes() {
                    [byte] => *byte,
                    b"\\0" => 0,
                    [] => return Err("empty tab".to_owned()),
                    _ => return Err(format!("multi-character tab '{value}'")),
                });
            }
            Argument::Option('s', _) => request.order.stable = true,
            Argument::Option('u', _) => request.order.unique = true,
            Argument::Option('z', _) => request.end = 0,
            Argument::Option('\u{11}', _) => {
                return Err("--files0-from is not supported".to_owned());
            }
            Argument::Option(..) => {}
            Argument::Operand(file) => request.files.push((*file).to_owned()),
        }
    }
    if request.files.is_empty() {
        request.files.push("-".to_owned());
    }
    Ok(request)
}

async fn check(call: &mut Invocation<'_>, request: &Request, silent: bool) -> io::Result<u8> {
    let [file] = request.files.as_slice() else {
        call.complain(format!("extra operand '{}' not allowed with -c", request.files[1])).await?;
        return Ok(2);
    };
    let Some(mut feed) = call.feed(file).await? else { return Ok(2) };
    let mut before: Option<Vec<u8>> = None;
    let mut number = 0u64;
    while let Some(lines) = feed.lines(request.end).await? {
        let mut disorder = None;
        super::feed::each_line(lines, request.end, |line, _| {
            if disorder.is_some() {
                return;
            }
            number += 1;
            let wrong =
                before.as_deref().is_some_and(|before| match request.order.compare(before, line) {
                    Ordering::Greater => true,
                    Ordering::Equal => request.order.unique,
                    Ordering::Less => false,
                });
            if wrong {
                disorder = Some(line.to_vec());
            } else {
                before = Some(line.to_vec());
            }
        });
        if let Some(line) = disorder {
            if !silent {
                let line = String::from_utf8_lossy(&line).into_owned();
                call.complain(format!("{file}:{number}: disorder: {line}")).await?;
            }
            return Ok(1);
        }
    }
    Ok(0)
}

/// Lines in memory.
#[derive(Default)]
struct Lines {
    text: Vec<u8>,
    /// Where each begins, and how long it is.
    places: Vec<(u32, u32)>,
}

impl Lines {
    fn add(&mut self, lines: &[u8], end: u8) {
        let base = self.text.len();
        self.text.extend_from_slice(lines);
        let mut start = base;
        super::feed::each_line(lines, end, |line, whole| {
            self.places.push((place(start), place(line.len())));
            start += whole.len();
        });
    }

    /// Memory counts for the places too: a file of empty lines is mostly those.
    fn is_full(&self) -> bool {
        self.text.len() + self.places.len() * size_of::<(u32, u32)>() > PIECE
    }

    fn clear(&mut self) {
        self.text.clear();
        self.places.clear();
    }

    fn get(&self, (start, length): (u32, u32)) -> &[u8] {
        &self.text[start as usize..][..length as usize]
    }

    fn sort(&mut self, order: &Order) {
        let mut places = std::mem::take(&mut self.places);
        places.sort_by(|a, b| order.compare(self.get(*a), self.get(*b)));
        self.places = places;
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|place| self.get(*place))
    }
}

/// Places fit: no more text than a piece and one line is held, and memory has 32 bits.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Sorted lines in files.
struct Pieces {
    world: Arc<World>,
    directory: PathBuf,
    files: Vec<PathBuf>,
}

impl Pieces {
    fn write(&mut self, lines: &Lines, order: &Order, end: u8) -> io::Result<()> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let number = NUMBER.fetch_add(1, Atomic::Relaxed);
        let name = format!(".sort-{:016x}-{number}", u64::from_ne_bytes(random));
        let path = self.directory.join(name);
        let file = self.world.create(&path, false)?;
        self.files.push(path);
        let mut file = io::BufWriter::with_capacity(64 * 1024, file);
        let mut last: Option<&[u8]> = None;
        for line in lines.iter() {
            if order.unique
                && last.is_some_and(|last| order.compare_keys(last, line) == Ordering::Equal)
            {
                continue;
            }
            last = Some(line);
            file.write_all(line)?;
            file.write_all(&[end])?;
        }
        file.flush()
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        for file in &self.files {
            // What cannot be removed is left for who removes the directory.
            let _ = self.world.remove(file, false);
        }
    }
}

/// A sorted file, read line by line.
struct Piece {
    file: BufReader<Box<dyn Read + Send>>,
    line: Vec<u8>,
    end: u8,
}

impl Piece {
    /// Reads the next line; whether there is one.
    fn advance(&mut self) -> io::Result<bool> {
        use std::io::BufRead;
        self.line.clear();
        let read = self.file.read_until(self.end, &mut self.line)?;
        if self.line.last() == Some(&self.end) {
            self.line.pop();
        }
        Ok(read > 0)
    }
}

async fn write(
    call: &mut Invocation<'_>,
    request: &Request,
    lines: Lines,
    pieces: &Pieces,
) -> io::Result<u8> {
    let mut target = match &request.output {
        None => None,
        Some(name) => match call.world.create(&call.path(name), false) {
            Ok(file) => Some(file),
            Err(error) => {
                call.complain(format!("open failed: {name}: {}", reason(&error))).await?;
                return Ok(2);
            }
        },
    };
    let mut sorted = Vec::new();
    for path in &pieces.files {
        let file = BufReader::with_capacity(64 * 1024, call.world.open(path)?);
        let mut piece = Piece { file, line: Vec::new(), end: request.end };
        if piece.advance()? {
            sorted.push(piece);
        }
    }
    let mut last: Option<Vec<u8>> = None;
    let mut in_memory = lines.iter().peekable();
    loop {
        // What came first in the input comes first among equals: the pieces before what is in memory.
        let mut least: Option<usize> = None;
        for (index, piece) in sorted.iter().enumerate() {
            if least.is_none_or(|least| {
                request.order.compare(&piece.line, &sorted[least].line) == Ordering::Less
            }) {
                least = Some(index);
            }
        }
        let from_memory = match (least, in_memory.peek()) {
            (None, None) => break,
            (None, Some(_)) => true,
            (Some(_), None) => false,
            (Some(least), Some(line)) => {
                request.order.compare(line, &sorted[least].line) == Ordering::Less
            }
        };
        let line: &[u8] = match (from_memory, least) {
            (false, Some(least)) => &sorted[least].line,
            _ => in_memory.next().unwrap_or_default(),
        };
        let repeated = request.order.unique
            && last
                .as_deref()
                .is_some_and(|last| request.order.compare_keys(last, line) == Ordering::Equal);
        if !repeated {
            if request.order.unique {
                last = Some(line.to_vec());
            }
            call.output.buffer().extend_from_slice(line);
            call.output.buffer().push(request.end);
        }
        if let (false, Some(least)) = (from_memory, least)
            && !sorted[least].advance()?
        {
            sorted.remove(least);
        }
        match &mut target {
            Some(file) => {
                file.write_all(call.output.buffer())?;
                call.output.buffer().clear();
            }
            None => call.output.relieve().await?,
        }
    }
    call.output.flush().await?;
    Ok(0)
}
