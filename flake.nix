{
  description = "yoi runs AI workers as sandboxed WebAssembly components";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    rust-overlay = {
      url = "github:oxalica/rust-overlay";
      inputs.nixpkgs.follows = "nixpkgs";
    };
  };

  outputs =
    {
      self,
      nixpkgs,
      rust-overlay,
    }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];

      # What every output of one system is made of.
      partsFor =
        system:
        let
          pkgs = nixpkgs.legacyPackages.${system}.extend rust-overlay.overlays.default;
          # The compiler, clippy, rustfmt and the target of the guests, of the pinned version.
          toolchain = pkgs.rust-bin.fromRustupToolchainFile ./rust-toolchain.toml;
          rustPlatform = pkgs.makeRustPlatform {
            cargo = toolchain;
            rustc = toolchain;
          };

          common = {
            version = (builtins.fromTOML (builtins.readFile ./Cargo.toml)).workspace.package.version;
            src = self;
            cargoLock.lockFile = ./Cargo.lock;
            # The tests are a check of their own, and need more than the programs do.
            doCheck = false;
          };

          # One program of the workspace. Guests are compiled on the way, by the same cargo.
          program =
            {
              name,
              package,
              description,
            }:
            rustPlatform.buildRustPackage (
              common
              // {
                pname = name;
                cargoBuildFlags = [
                  "--package"
                  package
                  "--bin"
                  name
                ];
                meta = {
                  inherit description;
                  license = with pkgs.lib.licenses; [
                    mit
                    asl20
                  ];
                  mainProgram = name;
                  platforms = systems;
                };
              }
            );

          # A run of cargo in the workspace with its dependencies at hand, that leaves nothing behind.
          check =
            name:
            { command, tools ? [ ] }:
            rustPlatform.buildRustPackage (
              common
              // {
                pname = "yoi-${name}";
                nativeBuildInputs = tools;
                buildPhase = ''
                  runHook preBuild
                  export HOME="$TMPDIR"
                  ${command}
                  runHook postBuild
                '';
                installPhase = "touch $out";
              }
            );

          # For the tests of the console, which find the two by these variables.
          browser = {
            CHROMIUM = "${pkgs.chromium}/bin/chromium";
          };
        in
        {
          packages = rec {
            default = yoi;
            yoi = program {
              name = "yoi";
              package = "yoi";
              description = "Runs AI workers as sandboxed WebAssembly components";
            };
            worker-runtime = program {
              name = "worker-runtime";
              package = "yoi";
              description = "The Runtime process of yoi";
            };
          };

          devShells.default = pkgs.mkShell (
            browser
            // {
              packages = [
                toolchain
                pkgs.cargo-deny
                pkgs.cargo-nextest
                pkgs.chromium
                pkgs.nodejs
                pkgs.git
                pkgs.python3
              ];
            }
          );

          checks = {
            fmt = check "fmt" { command = "cargo fmt --all --check"; };
            clippy = check "clippy" {
              command = "cargo clippy --frozen --workspace --all-targets --all-features -- -D warnings";
            };
            nextest = check "nextest" {
              command = ''
                export CHROMIUM="${browser.CHROMIUM}"
                export CHROMEDRIVER="${browser.CHROMEDRIVER}"
                cargo nextest run --frozen --workspace --all-features --profile ci
              '';
              tools = [
                pkgs.cargo-nextest
                pkgs.git
              ];
            };
          };
        };

      parts = nixpkgs.lib.genAttrs systems partsFor;
      every = output: nixpkgs.lib.mapAttrs (_: part: part.${output}) parts;
    in
    {
      packages = every "packages";
      devShells = every "devShells";
      checks = every "checks";
      formatter = nixpkgs.lib.genAttrs systems (system: nixpkgs.legacyPackages.${system}.nixfmt);
    };
}
