//! The schemas of types whose form in JSON is written by hand, too.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{Object, ObjectBuilder, Type},
    },
};

use crate::{
    Capability, ComponentDigest, ComponentRef, Cursor, FeedCursor, Grant, GuestPath, Input,
    ProfileName, RootPath, request::InputForm,
};

/// What a name of a Worker's creator, and what stands for it, may have: no control characters.
const PRINTABLE: &str = "^[^\\u0000-\\u001F\\u007F-\\u009F]*$";

/// [`Labels`](crate::Labels). The bounds of the Runtime are in bytes, and those of schemas in characters.
pub(crate) fn labels() -> Object {
    let text = |least, most| {
        let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(PRINTABLE));
        text.min_length(least).max_length(Some(most))
    };
    ObjectBuilder::new()
        .description(Some(
            "What a Worker was filed under by its creator: keys of at most 63 bytes, values of at most 256.",
        ))
        .schema_type(Type::Object)
        .property_names(Some(Schema::from(text(Some(1), 63).build())))
        .additional_properties(Some(Schema::from(text(None, 256).build())))
        .max_properties(Some(32))
        .build()
}

fn text(description: &str, pattern: &str) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
    text.description(Some(description)).into()
}

/// Names of a path, joined by `/`: none is empty, `.` or `..`, and none has control characters.
fn names() -> String {
    const OTHER: &str = r"/\u0000-\u001F\u007F-\u009F";
    let name = format!(
        r"([^.{OTHER}][^{OTHER}]{{0,254}}|\.[^.{OTHER}][^{OTHER}]{{0,253}}|\.\.[^{OTHER}]{{1,253}})"
    );
    format!("{name}(/{name})*")
}

/// The pattern of a type that has one, without its anchors.
fn pattern_of<T: PartialSchema>() -> String {
    let RefOr::T(Schema::Object(Object { pattern: Some(pattern), .. })) = T::schema() else {
        return String::new();
    };
    pattern.trim_start_matches('^').trim_end_matches('$').to_owned()
}

impl PartialSchema for Cursor {
    fn schema() -> RefOr<Schema> {
        text(
            "A reader's place in a Worker's log: everything up to it has been seen. Opaque; a bare \
             sequence number is taken, too.",
            r"^([0-9a-fA-F]{32}\.)?[0-9]{1,20}$",
        )
    }
}

impl ToSchema for Cursor {}

impl PartialSchema for FeedCursor {
    fn schema() -> RefOr<Schema> {
        text(
            "A reader's place in the feed of a Runtime: everything up to it has been seen. Opaque, and \
             never the cursor of a Worker's log.",
            r"^([0-9a-fA-F]{32}\.)?r[0-9]{1,20}$",
        )
    }
}

impl ToSchema for FeedCursor {}

impl PartialSchema for RootPath {
    fn schema() -> RefOr<Schema> {
        text(
            "A directory below a root, such as `services/api`; `.` is the root itself. At most 4,095 bytes, \
             and 255 in each name.",
            &format!(r"^(\.?|{})$", names()),
        )
    }
}

impl ToSchema for RootPath {}

impl PartialSchema for GuestPath {
    fn schema() -> RefOr<Schema> {
        text(
            "Where a guest sees a directory, such as `/workspace`. At most 4,096 bytes, and 255 in each name.",
            &format!("^/({})?$", names()),
        )
    }
}

impl ToSchema for GuestPath {}

impl PartialSchema for Grant {
    fn schema() -> RefOr<Schema> {
        let capabilities = Capability::ALL.map(Capability::name).join("|");
        let path = pattern_of::<GuestPath>();
        text(
            "One grant of a Worker, by its name: a capability, such as `llm`, or a directory where the \
             guest sees it, such as `preopen:/workspace`.",
            &format!("^({capabilities}|preopen:{path})$"),
        )
    }
}

impl ToSchema for Grant {}

impl PartialSchema for ComponentRef {
    fn schema() -> RefOr<Schema> {
        let (name, digest) = (pattern_of::<ProfileName>(), pattern_of::<ComponentDigest>());
        text(
            "A component: one that ships with the product, `builtin:NAME`, or one by the digest of its \
             bytes, `sha256:…`.",
            &format!("^(builtin:{name}|{digest})$"),
        )
    }
}

impl ToSchema for ComponentRef {}

impl PartialSchema for Input {
    fn schema() -> RefOr<Schema> {
        InputForm::schema()
    }
}

impl ToSchema for Input {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        InputForm::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Display, str::FromStr};

    use proptest::prelude::*;
    use regex::Regex;

    use super::*;
    use crate::{LogId, RuntimeId, Seq, WorkerId};

    fn pattern<T: PartialSchema>() -> Regex {
        Regex::new(&format!("^{}$", pattern_of::<T>())).expect("a pattern")
    }

    /// Texts around what is accepted, each of which the pattern and the parser judge alike.
    fn agrees<T: PartialSchema + FromStr>(texts: &[&str]) {
        let pattern = pattern::<T>();
        for text in texts {
            assert_eq!(pattern.is_match(text), text.parse::<T>().is_ok(), "{text:?} by {pattern}");
        }
    }

    fn accepts<T: PartialSchema + Display>(value: &T) -> bool {
        pattern::<T>().is_match(&value.to_string())
    }

    #[test]
    fn a_pattern_accepts_what_its_parser_accepts_and_nothing_else() {
        let (long, longer) = ("x".repeat(63), "x".repeat(64));
        agrees::<RuntimeId>(&[
            "", "a", "7", "a-b_c.d", "-a", ".a", "A", "a b", "ä", &long, &longer,
        ]);
        let id = "01a229fe-e583-723b-ae89-303fad1dcc78";
        let (simple, upper) = (id.replace('-', ""), id.to_uppercase());
        let (urn, braced) = (format!("urn:uuid:{id}"), format!("{{{id}}}"));
        agrees::<WorkerId>(&["", "x", "1", id, &simple, &upper, &urn, &braced, &id[1..]]);
        let (place, dashed) = (format!("{simple}.7"), format!("{id}.7"));
        agrees::<Cursor>(&["", "0", "7", "-1", "+1", " 1", "r1", ".1", "1.", &place, &dashed]);
        let (place, dashed) = (format!("{simple}.r7"), format!("{id}.r7"));
        agrees::<FeedCursor>(&["", "r0", "7", "r-1", "r+1", "r", ".r1", &place, &dashed]);
        let digest = format!("sha256:{}", "ab".repeat(32));
        agrees::<ComponentDigest>(&["", "sha256:", &digest, &digest[1..], &digest.to_uppercase()]);
        agrees::<ComponentRef>(&[
            "",
            "a",
            "builtin:",
            "builtin:a",
            "builtin:A",
            &digest,
            "sha256:",
        ]);
        agrees::<Grant>(&["", "llm", "shell", "llms", "preopen:", "preopen:/w", "preopen:/../w"]);
        let (name, longer) = ("x".repeat(255), "x".repeat(256));
        agrees::<RootPath>(&[
            "", ".", "..", "...", ".a", "..a", ".a.", "a", "a/b c/ü", "/", "/a", "a/..", "./a",
            "a/.", "a//b", "a/", "a\0b", "a\nb", "a\u{9f}", "a/...", &name, &longer,
        ]);
        agrees::<GuestPath>(&[
            "",
            "/",
            "//",
            "a",
            ".",
            "/.",
            "/..",
            "/...",
            "/.a",
            "/a/",
            "/a//b",
            "/a/../b",
            "/a\0",
            "/a/b.c/…",
        ]);
    }

    proptest! {
        #[test]
        fn a_pattern_accepts_what_is_printed(seq: u64, bytes: [u8; 32], with_log: bool) {
            let log_id = with_log.then(LogId::generate);
            let (cursor, feed) =
                (Cursor { log_id, seq: Seq::new(seq) }, FeedCursor { log_id, position: seq });
            prop_assert!(accepts(&cursor) && accepts(&feed));
            let digest = ComponentDigest::from_sha256(bytes);
            prop_assert!(accepts(&digest) && accepts(&ComponentRef::Digest(digest)));
            prop_assert!(accepts(&WorkerId::generate()));
        }
    }

    #[test]
    fn a_pattern_and_its_parser_agree_on_paths_of_any_kind() {
        let (root, guest) = (pattern::<RootPath>(), pattern::<GuestPath>());
        proptest!(|(text in "[a./\u{1}ü]{0,12}")| {
            prop_assert_eq!(root.is_match(&text), text.parse::<RootPath>().is_ok());
            prop_assert_eq!(guest.is_match(&text), text.parse::<GuestPath>().is_ok());
        });
    }
}
