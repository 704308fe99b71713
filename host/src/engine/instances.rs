//! How many instances a component asks for, read before anything is compiled.
//!
//! A component of a few hundred bytes, nested ten deep, can ask for 10^10 instances: each level
//! instantiates the one below ten times. Empty ones leave no trace in what is compiled, but the
//! host makes a table for each, in one piece that nothing can interrupt: half a second for 10^6.

use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance,
    ComponentOuterAliasKind, ComponentTypeRef, Encoding, Parser, Payload,
};

/// The most component instances of a component, nested ones included. What toolchains make has one
/// for each interface; a thousand cost half a millisecond.
const MAX_INSTANCES: u64 = 1_000;

/// The most components that one component can name. wasmtime takes no more; it is here because
/// what is named is kept while we count.
const MAX_COMPONENTS: usize = 1_000;

/// How deep components may stand inside each other. Compositions of compositions have a handful of
/// levels.
const MAX_DEPTH: usize = 100;

/// Why a component's instances are not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstancesError {
    #[error("it is malformed")]
    Malformed(#[source] BinaryReaderError),
    #[error("it refers to a component that is not there")]
    NoSuchComponent,
    #[error("it asks for more than {MAX_INSTANCES} instances of the components inside it")]
    TooMany,
    #[error("more than {MAX_COMPONENTS} components stand inside one of its components")]
    TooManyComponents,
    #[error("its components stand inside each other more than {MAX_DEPTH} deep")]
    TooDeep,
    #[error("it instantiates a component that does not stand inside it, so nobody can count")]
    Foreign,
}

/// Refuses a component that asks for too many instances, or for such that cannot be counted.
///
/// It takes time in proportion to `bytes`, little memory, and never recurses. That `bytes` are valid is
/// the compiler's to find out; what this does not understand, it refuses.
pub(super) fn check_instances(bytes: &[u8]) -> Result<(), InstancesError> {
    let mut enclosing: Vec<Scope> = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(InstancesError::Malformed)?;
        let deep = enclosing.len() == MAX_DEPTH;
        match (payload, enclosing.last_mut()) {
            (Payload::Version { .. }, _) if deep => {
                return Err(InstancesError::TooDeep);
            }
            (Payload::Version { encoding, .. }, _) => enclosing.push(Scope::new(encoding)),
            (Payload::End(_), Some(_)) => {
                let ended = enclosing.pop();
                if let (Some(ended), Some(outer)) = (ended, enclosing.last_mut())
                    && ended.encoding == Encoding::Component
                {
                    outer.name(Inside::Instances(ended.instances))?;
                }
            }
            (Payload::ComponentImportSection(section), Some(scope)) => {
                for import in section {
                    if let ComponentTypeRef::Component(_) =
                        import.map_err(InstancesError::Malformed)?.ty
                    {
                        scope.name(Inside::Foreign)?;
                    }
                }
            }
            (Payload::ComponentExportSection(section), Some(scope)) => {
                for export in section {
                    let export = export.map_err(InstancesError::Malformed)?;
                    if export.kind == ComponentExternalKind::Component {
                        // To export is to name anew.
                        scope.name(scope.component(export.index)?)?;
                    }
                }
            }
            (Payload::ComponentAliasSection(section), Some(_)) => {
                for alias in section {
                    let named = aliased(&alias.map_err(InstancesError::Malformed)?, &enclosing)?;
                    if let (Some(named), Some(scope)) = (named, enclosing.last_mut()) {
                        scope.name(named)?;
                    }
                }
            }
            (Payload::ComponentInstanceSection(section), Some(scope)) => {
                for instance in section {
                    scope.add(&instance.map_err(InstancesError::Malformed)?)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A component or module that is being read.
struct Scope {
    encoding: Encoding,
    /// The components that it can name, by index.
    components: Vec<Inside>,
    /// What one instance of it amounts to: itself, and what it instantiates.
    instances: u64,
}

/// What is known of a component that has a name.
#[derive(Debug, Clone, Copy)]
enum Inside {
    /// The instances that one of it amounts to.
    Instances(u64),
    /// It comes from an import or out of an instance.
    Foreign,
}

impl Scope {
    fn new(encoding: Encoding) -> Self {
        Self { encoding, components: Vec::new(), instances: 1 }
    }

    fn component(&self, index: u32) -> Result<Inside, InstancesError> {
        let found = usize::try_from(index).ok().and_then(|index| self.components.get(index));
        found.copied().ok_or(InstancesError::NoSuchComponent)
    }

    fn name(&mut self, component: Inside) -> Result<(), InstancesError> {
        if self.components.len() == MAX_COMPONENTS {
            return Err(InstancesError::TooManyComponents);
        }
        self.components.push(component);
        Ok(())
    }

    fn add(&mut self, instance: &ComponentInstance<'_>) -> Result<(), InstancesError> {
        let ComponentInstance::Instantiate { component_index, .. } = instance else {
            // A bundle of exports: nothing is made of it.
            return Ok(());
        };
        match self.component(*component_index)? {
            Inside::Instances(instances) => self.instances += instances,
            Inside::Foreign => return Err(InstancesError::Foreign),
        }
        // Also where nobody instantiates this one: then it is of no use, and the sums stay small.
        if self.instances > MAX_INSTANCES { Err(InstancesError::TooMany) } else { Ok(()) }
    }
}

/// The component that an alias names, if it names one.
fn aliased(
    alias: &ComponentAlias<'_>,
    enclosing: &[Scope],
) -> Result<Option<Inside>, InstancesError> {
    match *alias {
        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => {
            Ok(Some(Inside::Foreign))
        }
        ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, count, index } => {
            let outwards = usize::try_from(count).unwrap_or(usize::MAX);
            let scope = enclosing.iter().rev().nth(outwards);
            scope.ok_or(InstancesError::NoSuchComponent)?.component(index).map(Some)
        }
        ComponentAlias::InstanceExport { .. }
        | ComponentAlias::CoreInstanceExport { .. }
        | ComponentAlias::Outer { .. } => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), InstancesError> {
        check_instances(&wat::parse_str(text).expect("valid text format"))
    }

    /// `levels` components, each of which instantiates the one before `times` times; the last one
    /// is instantiated once.
    fn nested(levels: u32, times: usize) -> String {
        let mut text = "(component (component $c0)".to_owned();
        for level in 1..=levels {
            let below = format!("(instance (instantiate $c{}))", level - 1);
            text += &format!("(component $c{level} {})", below.repeat(times));
        }
        text + &format!("(instance (instantiate $c{levels})))")
    }

    #[test]
    fn instances_of_nested_components_count_as_often_as_they_are_made() {
        // The outermost one, and 1 + 10 + 100 inside.
        assert!(check(&nested(2, 10)).is_ok());
        assert!(matches!(check(&nested(3, 10)), Err(InstancesError::TooMany)));
        assert!(matches!(check(&nested(60, 2)), Err(InstancesError::TooMany)));
        let flat =
            |n| format!("(component (component $c) {})", "(instance (instantiate $c))".repeat(n));
        assert!(check(&flat(999)).is_ok());
        assert!(matches!(check(&flat(1_000)), Err(InstancesError::TooMany)));
    }

    #[test]
    fn a_name_for_a_component_is_no_way_around_the_count() {
        let exported = "(component (component $c0)
            (component $a (instance (instantiate $c0)) (instance (instantiate $c0)))
            (export $b \"b\" (component $a))
            (instance (instantiate $b)))";
        assert!(check(exported).is_ok());
        let many = exported
            .replace("(instance (instantiate $b))", &"(instance (instantiate $b))".repeat(334));
        assert!(matches!(check(&many), Err(InstancesError::TooMany)));
    }

    #[test]
    fn a_component_from_elsewhere_is_not_instantiated() {
        for foreign in [
            "(component (import \"c\" (component $c)) (instance (instantiate $c)))",
            "(component (component $outer (component $c) (export \"c\" (component $c)))
                (instance $o (instantiate $outer))
                (alias export $o \"c\" (component $c))
                (instance (instantiate $c)))",
        ] {
            assert!(matches!(check(foreign), Err(InstancesError::Foreign)), "{foreign}");
        }
        assert!(check("(component (import \"c\" (component)))").is_ok(), "not instantiated");
    }

    #[test]
    fn modules_count_for_nothing_and_the_products_guests_for_little() {
        assert!(check("(component (core module) (component (core module)))").is_ok());
        for guest in [builtin_workers::ECHO, builtin_workers::COMPANION] {
            assert!(check_instances(guest).is_ok());
        }
    }

    #[test]
    fn what_is_kept_while_counting_is_bounded() {
        let siblings = |n| format!("(component {})", "(component)".repeat(n));
        assert!(check(&siblings(1_000)).is_ok());
        assert!(matches!(check(&siblings(1_001)), Err(InstancesError::TooManyComponents)));
        let check_dolls = |depth| {
            let empty = b"\0asm\x0d\0\x01\0";
            let dolls = (1..depth).fold(empty.to_vec(), |inner, _| {
                let length = inner.len();
                // A section with a nested component, its length in two bytes.
                let length = [u8::try_from(length & 0x7f), u8::try_from(length >> 7)];
                let [low, high] = length.map(|byte| byte.expect("it is short"));
                [&empty[..], &[4, low | 0x80, high], &inner].concat()
            });
            check_instances(&dolls)
        };
        assert!(check_dolls(100).is_ok());
        assert!(matches!(check_dolls(101), Err(InstancesError::TooDeep)));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let mut echo = builtin_workers::ECHO.to_vec();
        echo.truncate(echo.len() / 2);
        assert!(matches!(check_instances(&echo), Err(InstancesError::Malformed(_))));
    }
}
