//! Builds the guests.

use guest_build::GuestBuild;

fn main() {
    let guests = GuestBuild::new().examples(
        "hostile-guest",
        &["hello-http", "hostile", "hostile-base", "network", "scripts", "tool"],
    );
    match guests.run() {
        Ok(guests) => guests.export(),
        Err(error) => guest_build::report(&error),
    }
}
