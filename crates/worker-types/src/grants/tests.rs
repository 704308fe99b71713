//! The laws of the lattice, and what a refusal says.

use proptest::prelude::*;

use super::*;

fn parsed<T: FromStr>(text: &str) -> T {
    text.parse().ok().unwrap_or_else(|| panic!("`{text}` is valid"))
}

fn preopen(root: &str, path: &str, guest_path: &str, access: Access) -> Preopen {
    Preopen::new(parsed(root), parsed(guest_path)).path(parsed(path)).access(access)
}

/// Few names, so that directories often lie in each other.
fn preopens() -> impl Strategy<Value = Preopen> {
    let root = prop::sample::select(vec!["one", "two", "scratch"]);
    let path = prop::collection::vec(prop::sample::select(vec!["a", "ab", "b"]), 0..3);
    let guest_path = prop::collection::vec(prop::sample::select(vec!["x", "a", "y"]), 0..3);
    let access = prop::sample::select(vec![Access::ReadOnly, Access::ReadWrite]);
    (root, path, guest_path, access, any::<bool>()).prop_map(
        |(root, path, guest_path, access, shared)| Preopen {
            shared,
            ..preopen(root, &path.join("/"), &format!("/{}", guest_path.join("/")), access)
        },
    )
}

fn grants() -> impl Strategy<Value = Grants> {
    let models = prop::collection::btree_set(
        prop::sample::select(vec!["a", "b", "c"]).prop_map(parsed),
        0..3,
    );
    let llm = prop::option::of(models.prop_map(|models| LlmGrant { models }));
    let shell = (1..4_u64).prop_map(|timeout_ms| ShellGrant { timeout_ms });
    let shell = prop::option::of(shell);
    (prop::collection::vec(preopens(), 0..4), llm, shell)
        .prop_map(|(preopens, llm, shell)| Grants { preopens, llm, shell })
}

/// Whether both give the same authority.
fn same(a: &Grants, b: &Grants) -> bool {
    a.within(b).is_ok() && b.within(a).is_ok()
}

proptest! {
    #[test]
    fn within_is_an_order_with_nothing_at_its_bottom(a in grants(), b in grants(), c in grants()) {
        prop_assert!(a.within(&a).is_ok());
        prop_assert!(Grants::none().within(&a).is_ok());
        if a.within(&b).is_ok() && b.within(&c).is_ok() {
            prop_assert!(a.within(&c).is_ok());
        }
    }

    #[test]
    fn the_meet_is_the_most_that_is_within_both(a in grants(), b in grants(), c in grants()) {
        let meet = a.meet(&b);
        prop_assert!(meet.within(&a).is_ok() && meet.within(&b).is_ok());
        if c.within(&a).is_ok() && c.within(&b).is_ok() {
            prop_assert!(c.within(&meet).is_ok());
        }
    }

    #[test]
    fn it_does_not_matter_who_meets_whom_in_which_order(a in grants(), b in grants(), c in grants()) {
        prop_assert!(same(&a.meet(&a), &a));
        prop_assert!(same(&a.meet(&b), &b.meet(&a)));
        prop_assert!(same(&a.meet(&b).meet(&c), &a.meet(&b.meet(&c))));
        prop_assert_eq!(a.within(&b).is_ok(), same(&a.meet(&b), &a));
    }

    #[test]
    fn what_is_within_a_ceiling_is_not_cut_by_it(asked in grants(), ceiling in grants()) {
        if asked.within(&ceiling).is_ok() {
            prop_assert_eq!(asked.meet(&ceiling), asked);
        }
    }

    #[test]
    fn delegation_never_widens(ceiling in grants(), parent in grants(), child in grants()) {
        let parent = parent.meet(&ceiling);
        let child = child.meet(&parent);
        prop_assert!(child.within(&parent).is_ok() && child.within(&ceiling).is_ok());
        // A ceiling that falls later takes from both.
        prop_assert!(child.meet(&Grants::none()).within(&Grants::none()).is_ok());
    }

    #[test]
    fn a_guest_sees_what_is_left_where_it_saw_it(a in preopens(), b in grants()) {
        for met in Grants::none().with_preopen(a.clone()).meet(&b).preopens {
            prop_assert_eq!(&met.root, &a.root);
            let below = |path: &str, above: &str| match above {
                "." | "/" => path.trim_start_matches(['.', '/']).to_owned(),
                above => path.strip_prefix(above).unwrap_or("?").trim_matches('/').to_owned(),
            };
            prop_assert_eq!(
                below(met.path.as_str(), a.path.as_str()),
                below(met.guest_path.as_str(), a.guest_path.as_str())
            );
        }
    }

    #[test]
    fn what_is_taken_away_is_gone_and_the_rest_is_not(a in grants()) {
        for grant in a.all() {
            let less = a.clone().without(&grant);
            prop_assert!(less.within(&a).is_ok());
            prop_assert!(less.all().all(|left| left != grant));
            let others = a.all().filter(|other| *other != grant).count();
            prop_assert_eq!(less.all().count(), others);
        }
    }

    #[test]
    fn what_is_revoked_under_one_ceiling_is_gone_under_every_other(
        granted in grants().prop_filter("valid", |granted| granted.validate().is_ok()),
        then in grants(),
        later in grants(),
        picks in prop::collection::vec(any::<bool>(), 64),
    ) {
        let seen = granted.cut_to(&then);
        let is_picked: Vec<(Grant, bool)> = seen.all().zip(picks).collect();
        let revoked = || is_picked.iter().filter(|(_, picked)| *picked).map(|(grant, _)| grant);
        let left = granted.clone().without_revoked(revoked()).cut_to(&later);
        for taken in seen.preopens.iter() {
            let name = Grant::Preopen(taken.guest_path.clone());
            // Unless it was granted twice, as it may be.
            let once = granted.preopens.iter().filter(|own| own.meet(taken).is_some()).count() <= 1;
            if once && revoked().any(|revoked| *revoked == name) {
                let is_left = left.preopens.iter().any(|left| left.meet(taken).is_some());
                prop_assert!(!is_left, "{name}: {left:?}");
            }
        }
    }

    #[test]
    fn what_was_not_revoked_stays(
        granted in grants().prop_filter("valid", |granted| granted.validate().is_ok()),
        then in grants(),
        picks in prop::collection::vec(any::<bool>(), 64),
    ) {
        let seen = granted.cut_to(&then);
        let revoked: Vec<Grant> =
            seen.all().zip(picks).filter(|(_, picked)| *picked).map(|(grant, _)| grant).collect();
        let left = granted.clone().without_revoked(&revoked);
        for own in &granted.preopens {
            let nearest = |guest_path: &GuestPath| {
                let around = granted.preopens.iter().map(|preopen| &preopen.guest_path);
                around.filter(|around| guest_path.is_within(around)).max_by_key(|path| path.as_str().len())
            };
            let is_touched = revoked.iter().any(|revoked| match revoked {
                Grant::Preopen(guest_path) => nearest(guest_path) == Some(&own.guest_path),
                Grant::Capability(_) => false,
            });
            prop_assert_eq!(left.preopens.contains(own), !is_touched, "{:?} of {:?}", own, revoked);
        }
    }

    #[test]
    fn what_is_cut_can_be_given_to_a_guest(a in grants(), ceiling in grants()) {
        let cut = a.cut_to(&ceiling);
        prop_assert!(cut.validate().is_ok(), "{cut:?}");
        prop_assert!(cut.within(&a).is_ok() && cut.within(&ceiling).is_ok());
        if a.validate().is_ok() && a.within(&ceiling).is_ok() {
            prop_assert_eq!(cut, a);
        }
    }

    #[test]
    fn a_grant_reads_back_as_it_was_written(a in grants()) {
        for grant in a.all() {
            prop_assert_eq!(grant.to_string().parse::<Grant>(), Ok(grant));
        }
        let json = serde_json::to_string(&a).expect("grants serialise");
        prop_assert_eq!(serde_json::from_str::<Grants>(&json).expect("and read back"), a);
    }
}

#[test]
fn a_refusal_names_the_first_thing_that_exceeds() {
    let model = parsed::<ModelAlias>;
    let asked = Grants::none().with_llm([model("cheap"), model("dear")]);
    assert_eq!(
        asked.within(&Grants::none()).map_err(|e| e.to_string()),
        Err("`llm` is not within the ceiling".into())
    );
    assert_eq!(
        asked.within(&Grants::none().with_llm([model("cheap")])),
        Err(Exceeds::Model(model("dear")))
    );

    let ceiling = Grants::none().with_preopen(preopen("one", "a", "/", Access::ReadOnly));
    let refusal = |root, path, access| {
        let asked = Grants::none().with_preopen(preopen(root, path, "/w", access));
        asked.within(&ceiling).map_err(|exceeds| exceeds.to_string())
    };
    assert_eq!(refusal("one", "a/b", Access::ReadOnly), Ok(()));
    assert_eq!(
        refusal("two", "a", Access::ReadOnly),
        Err("root `two` is not within the ceiling".into())
    );
    assert_eq!(
        refusal("one", "b", Access::ReadWrite),
        Err("`b` of root `one` is not within the ceiling".into())
    );
    assert_eq!(
        refusal("one", "a/b", Access::ReadWrite),
        Err("write access to `a/b` of root `one` is not within the ceiling".into())
    );
}

#[test]
fn an_unknown_grant_is_an_error_not_a_silence() {
    for bad in [r#"{"lmm":{"models":[]}}"#, r#"{"network":{"hosts":[]}}"#] {
        assert!(serde_json::from_str::<Grants>(bad).is_err(), "{bad}");
    }
    for bad in ["", "lmm", "preopen:", "preopen:w", "preopen:/a/..", "Llm"] {
        assert!(bad.parse::<Grant>().is_err(), "{bad}");
    }
}

#[test]
fn grants_that_contradict_themselves_are_refused() {
    let grants = |preopens: &[Preopen]| Grants { preopens: preopens.to_vec(), ..Grants::none() };
    let (ro, rw) = (Access::ReadOnly, Access::ReadWrite);

    let twice = grants(&[preopen("one", "a", "/w", ro), preopen("two", "", "/w", ro)]);
    assert_eq!(twice.validate(), Err(InvalidGrants::SameGuestPath(parsed("/w"))));

    let hollow = [preopen("one", "a/b", "/docs", ro), preopen("one", "a", "/w", rw)];
    for order in [[0, 1], [1, 0]] {
        let hollow = grants(&order.map(|at| hollow[at].clone()));
        let refused = InvalidGrants::NotReadOnly { inner: parsed("/docs"), outer: parsed("/w") };
        assert_eq!(hollow.validate(), Err(refused));
    }

    let window = [preopen("one", "", "/w", ro), preopen("one", "out", "/w/out", rw)];
    assert_eq!(grants(&window).validate(), Ok(()));
    let beside = [preopen("one", "a", "/a", rw), preopen("one", "ab", "/ab", ro)];
    assert_eq!(grants(&beside).validate(), Ok(()));

    let many = |count| {
        let at = |n| preopen("one", &format!("d{n}"), &format!("/d{n}"), ro);
        grants(&(0..count).map(at).collect::<Vec<_>>())
    };
    assert_eq!(many(MAX_PREOPENS).validate(), Ok(()));
    assert_eq!(many(MAX_PREOPENS + 1).validate(), Err(InvalidGrants::TooMany));
}

#[test]
fn a_part_is_not_shown_in_the_place_of_another_directory() {
    let (ro, rw) = (Access::ReadOnly, Access::ReadWrite);
    let grants = |preopens: &[Preopen]| Grants { preopens: preopens.to_vec(), ..Grants::none() };
    let granted = grants(&[preopen("one", "", "/w", ro), preopen("one", "out", "/w/out", rw)]);
    let ceiling = grants(&[preopen("one", "out", "/", rw)]);
    let left = grants(&[preopen("one", "out", "/w/out", rw)]);
    assert_eq!(granted.cut_to(&ceiling), left);

    // Nor in the place of one of which nothing is left: a revocation there would not know which it was.
    let granted = grants(&[preopen("one", "", "/y/a", ro), preopen("two", "", "/y", rw)]);
    let ceiling = grants(&[preopen("two", "a", "/", rw), preopen("two", "b", "/", rw)]);
    assert_eq!(granted.cut_to(&ceiling), grants(&[preopen("two", "b", "/y/b", rw)]));
}

#[test]
fn revoking_the_parts_of_a_directory_leaves_the_one_around_it() {
    let ro = Access::ReadOnly;
    let grants = |preopens: &[Preopen]| Grants { preopens: preopens.to_vec(), ..Grants::none() };
    let granted = grants(&[preopen("two", "", "/w", ro), preopen("one", "out", "/w/out", ro)]);
    let revoked = ["/w/out/a", "/w/out/b"].map(|path| Grant::Preopen(parsed(path)));
    assert_eq!(granted.without_revoked(&revoked), grants(&[preopen("two", "", "/w", ro)]));
}
