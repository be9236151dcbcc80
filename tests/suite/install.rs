//! Installing beside what is there, taking it away exactly, and diagnosing,
//! with real git.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::fixture::TestRepo;

/// Every file below a folder: its mode, and its bytes or where it links to.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_symlink() {
            let target = std::fs::read_link(&path).unwrap();
            files.insert(path, (0, target.into_os_string().into_encoded_bytes()));
        } else if metadata.is_dir() {
            files.insert(path.clone(), (metadata.permissions().mode(), Vec::new()));
            files.extend(snapshot(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            files.insert(path, (metadata.permissions().mode(), bytes));
        }
    }
    files
}

fn put_hook(repo: &TestRepo, path: &str, text: &str, mode: u32) -> PathBuf {
    repo.write(path, text);
    let path = repo.path().join(path);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn succeeds(output: Output) -> String {
    assert!(output.status.success(), "{}{}", out(&output), err(&output));
    out(&output)
}

#[track_caller]
fn install(repo: &TestRepo) -> String {
    succeeds(repo.countersign(&["install"]))
}

/// `PATH` without any folder that holds a countersign.
fn path_without_us() -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap();
    let folders = std::env::split_paths(&path).filter(|it| !it.join("countersign").exists());
    std::env::join_paths(folders).unwrap()
}

fn has_config_hooks(repo: &TestRepo) -> bool {
    let version = repo.git(&["version"]);
    let mut numbers = version.split([' ', '.']).skip(2).map(|it| it.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap(), numbers.next().unwrap()) >= (2, 54)
}

/// Prepares a repository, then: a dry run changes nothing, a second
/// installation changes nothing, and uninstall leaves every byte and mode as
/// it was.
#[track_caller]
fn check_round_trip(repo: &TestRepo) {
    let before = snapshot(repo.path());
    let plan = succeeds(repo.countersign(&["install", "--dry-run"]));
    assert!(plan.contains("git config: + countersign.mode = shim\n"), "{plan}");
    assert_eq!(snapshot(repo.path()), before, "the dry run changed something");
    install(repo);
    let installed = snapshot(repo.path());
    assert_ne!(installed, before);
    let again = install(repo);
    assert!(again.starts_with("countersign: was installed already (mode shim)"), "{again}");
    assert_eq!(snapshot(repo.path()), installed, "the second installation changed something");
    succeeds(repo.countersign(&["uninstall", "--dry-run"]));
    assert_eq!(snapshot(repo.path()), installed, "the dry run changed something");
    succeeds(repo.countersign(&["uninstall"]));
    assert_eq!(snapshot(repo.path()), before, "uninstall left something");
    let nothing = succeeds(repo.countersign(&["uninstall"]));
    assert_eq!(nothing, "nothing of countersign is installed here\n");
}

#[test]
fn a_plain_repository_comes_back_exactly() {
    check_round_trip(&TestRepo::new());
}

#[test]
fn foreign_hooks_come_back_exactly() {
    let repo = TestRepo::new();
    put_hook(&repo, ".git/hooks/pre-push", "#!/bin/sh\nexit 0\n", 0o750);
    put_hook(&repo, ".git/hooks/commit-msg", "not executable\r\n", 0o644);
    put_hook(&repo, "scripts/lint", "#!/bin/sh\nexit 0\n", 0o755);
    std::os::unix::fs::symlink("../../scripts/lint", repo.path().join(".git/hooks/pre-commit"))
        .unwrap();
    std::os::unix::fs::symlink("nowhere", repo.path().join(".git/hooks/post-commit")).unwrap();
    check_round_trip(&repo);
}

#[test]
fn a_repository_without_a_hooks_folder_comes_back_exactly() {
    check_round_trip(&TestRepo::init(&["--template="]));
}

#[test]
fn settings_of_the_person_stay() {
    let repo = TestRepo::new();
    repo.git(&["remote", "add", "fork", "../fork.git"]);
    repo.git(&["remote", "add", "home", "../home.git"]);
    repo.git(&["config", "countersign.remote", "home"]);
    repo.git(&["config", "countersign.pushBudget", "5"]);
    check_round_trip(&repo);
}

#[test]
fn a_local_hooks_path_is_honoured() {
    let repo = TestRepo::new();
    let folder = repo.path().join("own hooks");
    repo.git(&["config", "core.hooksPath", folder.to_str().unwrap()]);
    put_hook(&repo, "own hooks/pre-commit", "#!/bin/sh\nexit 0\n", 0o755);
    check_round_trip(&repo);
    let said = install(&repo);
    assert!(said.contains(folder.to_str().unwrap()), "{said}");
    assert!(folder.join("pre-push").exists() && !repo.path().join(".git/hooks/pre-push").exists());
}

#[test]
fn a_kept_hook_stands_beside_ours_as_it_was() {
    let repo = TestRepo::new();
    put_hook(&repo, ".git/hooks/pre-push", "#!/bin/sh\nexit 0\n", 0o750);
    install(&repo);
    let kept = repo.path().join(".git/hooks/pre-push.countersign-chained");
    assert_eq!(std::fs::read(&kept).unwrap(), b"#!/bin/sh\nexit 0\n");
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o750);
    let shim = std::fs::read_to_string(repo.path().join(".git/hooks/pre-push")).unwrap();
    let program = env!("CARGO_BIN_EXE_countersign");
    assert!(shim.contains(&format!("recorded='{program}'\n")), "{shim}");
}

#[test]
fn a_shim_of_another_version_is_replaced() {
    let repo = TestRepo::new();
    install(&repo);
    let path = repo.path().join(".git/hooks/pre-commit");
    let shim = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, shim.replace("version 2:", "version 0:")).unwrap();
    install(&repo);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), shim);
    assert!(!path.with_file_name("pre-commit.countersign-chained").exists());
}

#[test]
fn a_copy_of_a_repository_leaves_the_hooks_of_the_original() {
    let repo = TestRepo::new();
    install(&repo);
    let shim = repo.path().join(".git/hooks/pre-commit");
    for job in ["install", "uninstall"] {
        let copy = repo.beside(job);
        let mut cp = repo.command("cp");
        cp.arg("-r").arg(repo.path().join(".")).arg(copy.path());
        assert!(cp.status().unwrap().success());
        assert!(copy.countersign(&[job]).status.success());
        assert!(shim.exists(), "{job} in the copy");
        assert_eq!(copy.path().join(".git/hooks/pre-commit").exists(), job == "install");
    }
}

#[test]
fn a_shared_repository_gets_hooks_for_its_group() {
    let repo = TestRepo::init(&["--shared=group"]);
    install(&repo);
    let hook = repo.path().join(".git/hooks/pre-commit");
    assert_eq!(hook.metadata().unwrap().permissions().mode() & 0o777, 0o775);
}

#[test]
fn a_linked_worktree_shares_the_hooks_of_its_repository() {
    let repo = TestRepo::new();
    repo.commit_file("ana", "a", "1\n", "one");
    repo.git(&["worktree", "add", "-q", "../linked"]);
    let linked = repo.beside("linked");
    install(&linked);
    assert!(repo.path().join(".git/hooks/pre-push").exists());
    assert_eq!(repo.git(&["config", "--local", "countersign.mode"]), "shim");
    succeeds(repo.countersign(&["doctor"]));
    succeeds(linked.countersign(&["doctor"]));
}

#[test]
fn a_submodule_has_hooks_of_its_own() {
    let library = TestRepo::new();
    library.commit_file("ana", "a", "1\n", "one");
    let repo = library.beside("super");
    library.git(&["init", "-q", "-b", "main", repo.path().to_str().unwrap()]);
    let url = library.path().to_str().unwrap();
    repo.git(&["-c", "protocol.file.allow=always", "submodule", "add", "-q", url, "lib"]);
    let inner = library.beside("super/lib");
    install(&inner);
    assert!(repo.path().join(".git/modules/lib/hooks/pre-commit").exists());
    assert!(!repo.path().join(".git/hooks/pre-commit").exists());
    assert_eq!(inner.git(&["config", "countersign.remote"]), "origin");
    assert_eq!(inner.git(&["config", "countersign.target"]), "refs/heads/main");
}

#[test]
fn a_clone_records_its_remote_and_the_branch_to_which_that_points() {
    let repo = TestRepo::new();
    repo.commit_file("ana", "a", "1\n", "one");
    repo.git(&["branch", "-m", "trunk"]);
    let clone = repo.clone_as("clone", &["-o", "upstream"]);
    let said = install(&clone);
    let expected = "the policy is read from refs/heads/trunk, as the remote upstream has it";
    assert!(said.contains(expected), "{said}");
    assert_eq!(clone.git(&["config", "--local", "countersign.remote"]), "upstream");
    assert_eq!(clone.git(&["config", "--local", "countersign.target"]), "refs/heads/trunk");
}

#[test]
fn several_remotes_are_the_persons_choice() {
    let repo = TestRepo::new();
    repo.git(&["remote", "add", "one", "../one.git"]);
    repo.git(&["remote", "add", "two", "../two.git"]);
    let output = repo.countersign(&["install"]);
    assert_eq!(
        err(&output),
        "note: it is not known which remote to trust: one, two; \
         `git config countersign.remote NAME` says which remote holds the trusted policy\n"
    );
    assert!(!repo.git(&["config", "--list"]).contains("countersign.remote="));
    check_problems(&repo, &["policy-unreadable"]);
}

#[track_caller]
fn check_refused(repo: &TestRepo, arguments: &[&str], expected: &str) {
    let before = snapshot(repo.path());
    let output = repo.countersign(arguments);
    assert_eq!(output.status.code(), Some(2), "{}{}", out(&output), err(&output));
    assert_eq!(err(&output).lines().next(), Some(expected));
    assert!(err(&output).contains("\nhint: `"), "{}", err(&output));
    assert_eq!(snapshot(repo.path()), before);
}

#[test]
fn a_hooks_path_for_every_repository_is_refused_with_the_choices() {
    let mut repo = TestRepo::new();
    let global = repo.home().join("gitconfig");
    std::fs::write(&global, "[core]\n\thooksPath = /shared/hooks\n").unwrap();
    repo.set_variable("GIT_CONFIG_GLOBAL", global.to_str().unwrap());
    let expected = "error: `core.hooksPath` is `/shared/hooks`, from the global configuration: \
                    a hook there would run in every repository of this machine";
    check_refused(&repo, &["install"], expected);
    check_refused(&repo, &["install", "--mode", "shim"], expected);
    // A folder of the repository's own is one of the choices.
    let own = repo.path().join(".git/hooks");
    repo.git(&["config", "--local", "core.hooksPath", own.to_str().unwrap()]);
    install(&repo);
    assert!(own.join("pre-push").exists());
    repo.git(&["config", "--local", "--unset", "core.hooksPath"]);
    check_problems(&repo, &["hooks-path-shared", "hook-missing", "elsewhere"]);
}

#[test]
fn an_empty_hooks_path_is_refused() {
    let repo = TestRepo::new();
    repo.git(&["config", "core.hooksPath", ""]);
    check_refused(
        &repo,
        &["install"],
        "error: `core.hooksPath` is set and empty, so that git runs hooks from no fixed folder",
    );
    check_problems(&repo, &["not-installed", "hooks-path-empty"]);
}

#[test]
fn a_repository_is_either_worked_in_or_served() {
    let repo = TestRepo::new();
    check_refused(
        &repo,
        &["install", "--server"],
        "error: `--server` is for a bare repository, and this one has a work tree",
    );
    let bare = repo.bare_remote();
    check_refused(&bare, &["install"], "error: this repository is bare: nobody commits in it");
    let before = snapshot(bare.path());
    succeeds(bare.countersign(&["install", "--server"]));
    let hooks: Vec<String> = ["pre-receive", "post-receive", "pre-push"]
        .into_iter()
        .filter(|name| bare.path().join("hooks").join(name).exists())
        .map(str::to_owned)
        .collect();
    assert_eq!(hooks, ["pre-receive", "post-receive"]);
    assert_eq!(bare.git(&["config", "countersign.target"]), "refs/heads/main");
    check_problems(&bare, &[]);
    succeeds(bare.countersign(&["uninstall"]));
    assert_eq!(snapshot(bare.path()), before);
}

#[track_caller]
fn check_managed(repo: &TestRepo, manager: &str, line: &str) {
    let before = snapshot(repo.path());
    let output = repo.countersign(&["install"]);
    if has_config_hooks(repo) {
        assert!(succeeds(output).contains("(mode config)"));
        succeeds(repo.countersign(&["uninstall"]));
    } else {
        assert_eq!(output.status.code(), Some(1));
        let said = err(&output);
        let head = format!("countersign: not installed: the hooks here belong to {manager}, ");
        assert!(said.starts_with(&head), "{said}");
        assert!(out(&output).contains(line), "{}", out(&output));
    }
    assert_eq!(snapshot(repo.path()), before);
}

#[test]
fn the_folder_of_another_manager_is_left_alone() {
    let husky = TestRepo::new();
    husky.git(&["config", "core.hooksPath", ".husky/_"]);
    put_hook(&husky, ".husky/_/pre-commit", "#!/usr/bin/env sh\n. \"${0%/*}/h\"\n", 0o755);
    check_managed(
        &husky,
        "husky",
        "# .husky/pre-push\ncountersign hook pre-push \"$@\" || exit 1\n",
    );

    let lefthook = TestRepo::new();
    put_hook(&lefthook, ".git/hooks/pre-push", "#!/bin/sh\ntest \"$LEFTHOOK\" = 0\n", 0o755);
    check_managed(&lefthook, "lefthook", "use_stdin: true");

    let pre_commit = TestRepo::new();
    let text = "#!/usr/bin/env bash\n# File generated by pre-commit: https://pre-commit.com\n";
    put_hook(&pre_commit, ".git/hooks/pre-commit", text, 0o755);
    check_managed(&pre_commit, "pre-commit", "entry: countersign hook pre-push");

    let tracked = TestRepo::new();
    tracked.git(&["config", "core.hooksPath", ".githooks"]);
    put_hook(&tracked, ".githooks/pre-commit", "#!/bin/sh\nexit 0\n", 0o755);
    tracked.commit("ana", "hooks");
    check_managed(&tracked, "the repository's own tracked hooks", "countersign hook pre-commit");
}

#[test]
fn a_snippet_is_recorded_and_looked_for() {
    let repo = TestRepo::new();
    repo.git(&["config", "core.hooksPath", ".husky/_"]);
    let said = succeeds(repo.countersign(&["install", "--mode", "snippet"]));
    assert!(said.contains("# .husky/pre-commit\n"), "{said}");
    assert_eq!(repo.git(&["config", "countersign.mode"]), "snippet");
    check_problems(&repo, &["snippet-missing"]);
    for event in ["pre-commit", "commit-msg", "pre-merge-commit", "pre-push", "post-commit"] {
        repo.write(
            format!(".husky/{event}"),
            format!("countersign hook {event} \"$@\" || exit 1\n"),
        );
    }
    check_problems(&repo, &[]);
}

#[test]
fn hooks_in_gits_configuration_need_a_git_that_has_them() {
    let repo = TestRepo::new();
    if !has_config_hooks(&repo) {
        eprintln!("config hooks are not run here: {} has none", repo.git(&["version"]));
        check_refused(
            &repo,
            &["install", "--mode", "config"],
            &format!(
                "error: git {} has no hooks in its configuration, and would silently run nothing",
                repo.git(&["version"]).trim_start_matches("git version ")
            ),
        );
        return;
    }
    let before = snapshot(repo.path());
    succeeds(repo.countersign(&["install", "--mode", "config"]));
    let listed = repo.git(&["hook", "list", "pre-push"]);
    assert!(listed.contains("countersign-pre-push"), "{listed}");
    check_problems(&repo, &[]);
    repo.git(&["config", "hook.countersign-pre-push.enabled", "false"]);
    check_problems(&repo, &["hook-disabled", "hook-missing"]);
    repo.git(&["config", "--unset", "hook.countersign-pre-push.enabled"]);
    succeeds(repo.countersign(&["uninstall"]));
    assert_eq!(snapshot(repo.path()), before);
}

#[test]
fn a_missing_program_blocks_with_one_sentence() {
    let repo = TestRepo::new();
    let program = repo.home().join("countersign");
    // By another process: a program that we ourselves wrote may still be open in a
    // child of a test beside this one, and then cannot be run.
    let copied = repo.command("cp").arg(env!("CARGO_BIN_EXE_countersign")).arg(&program).status();
    assert!(copied.unwrap().success());
    succeeds(repo.command(&program).arg("install").output().unwrap());
    std::fs::remove_file(&program).unwrap();
    let path = path_without_us();
    let output = repo
        .git_command(&["commit", "-q", "--allow-empty", "-m", "one"])
        .env("PATH", &path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        err(&output),
        format!(
            "countersign: pre-commit: blocked, because the countersign program is neither at '{}' \
             nor on PATH; install it again, then run countersign doctor.\n",
            program.display()
        )
    );
    let mut doctor = repo.countersign_command(&["doctor", "--format", "json"]);
    assert_eq!(codes(doctor.env("PATH", &path)), ["program-missing"]);
}

/// The distinct codes of the problems, in the order of their first appearance.
fn codes(doctor: &mut Command) -> Vec<String> {
    let output = doctor.output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", out(&output), err(&output)));
    assert_eq!(json["schema"], "countersign.doctor/1");
    let mut codes: Vec<String> = Vec::new();
    for problem in json["problems"].as_array().unwrap() {
        let code = problem["code"].as_str().unwrap().to_owned();
        assert!(!problem["fix"].as_str().unwrap().is_empty(), "{code} has no fix");
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    assert_eq!(json["ok"], codes.is_empty());
    assert_eq!(output.status.code(), Some(i32::from(!codes.is_empty())));
    codes
}

#[track_caller]
fn check_problems(repo: &TestRepo, expected: &[&str]) {
    assert_eq!(codes(&mut repo.countersign_command(&["doctor", "--format", "json"])), expected);
}

/// Installs, breaks something, and expects what the doctor says; installing
/// again must put it right where that is the advice.
#[track_caller]
fn check_broken(break_it: impl FnOnce(&Path), expected: &[&str], again: &[&str]) {
    let repo = TestRepo::new();
    install(&repo);
    check_problems(&repo, &[]);
    break_it(&repo.path().join(".git/hooks"));
    check_problems(&repo, expected);
    repo.countersign(&["install"]);
    check_problems(&repo, again);
}

#[test]
fn the_doctor_sees_what_would_not_run() {
    let mode = |bits| std::fs::Permissions::from_mode(bits);
    check_broken(
        |hooks| std::fs::remove_file(hooks.join("pre-push")).unwrap(),
        &["hook-missing"],
        &[],
    );
    check_broken(
        |hooks| std::fs::set_permissions(hooks.join("pre-push"), mode(0o644)).unwrap(),
        &["not-executable"],
        &[],
    );
    check_broken(
        |hooks| {
            std::fs::remove_file(hooks.join("pre-push")).unwrap();
            std::fs::write(hooks.join("pre-push"), "#!/bin/sh\nexit 0\n").unwrap();
            std::fs::set_permissions(hooks.join("pre-push"), mode(0o755)).unwrap();
        },
        &["hook-replaced"],
        &[],
    );
    check_broken(
        |hooks| {
            let text = std::fs::read_to_string(hooks.join("pre-push")).unwrap();
            std::fs::write(hooks.join("pre-push"), text.replace("version 2:", "version 7:"))
                .unwrap();
        },
        &["shim-outdated"],
        &[],
    );
    // lefthook moves a hook away and does not run it; nothing of ours repairs that unasked.
    check_broken(
        |hooks| {
            std::fs::rename(hooks.join("pre-push"), hooks.join("pre-push.old")).unwrap();
            std::fs::write(hooks.join("pre-push"), "#!/bin/sh\n: $LEFTHOOK\n").unwrap();
            std::fs::set_permissions(hooks.join("pre-push"), mode(0o755)).unwrap();
        },
        &["moved-away", "hook-replaced"],
        &["moved-away", "hook-replaced"],
    );
    // pre-commit and prek move it away and run it.
    check_broken(
        |hooks| {
            std::fs::rename(hooks.join("pre-push"), hooks.join("pre-push.legacy")).unwrap();
            let text = "#!/bin/sh\n# File generated by prek: https://github.com/j178/prek\n";
            std::fs::write(hooks.join("pre-push"), text).unwrap();
            std::fs::set_permissions(hooks.join("pre-push"), mode(0o755)).unwrap();
        },
        &[],
        &[],
    );
}

#[test]
fn the_doctor_sees_a_worktree_without_hooks() {
    let repo = TestRepo::new();
    repo.commit_file("ana", "a", "1\n", "one");
    repo.git(&["config", "core.hooksPath", "hooks"]);
    install(&repo);
    check_problems(&repo, &[]);
    repo.git(&["worktree", "add", "-q", "../linked"]);
    check_problems(&repo, &["worktree-without-hooks"]);
    let linked = repo.beside("linked");
    install(&linked);
    check_problems(&repo, &[]);
    check_problems(&linked, &[]);
    succeeds(linked.countersign(&["uninstall"]));
    assert!(!repo.path().join("hooks/pre-push").exists());
    assert!(!linked.path().join("hooks/pre-push").exists());
}

#[test]
fn the_doctor_reads_the_trusted_policy() {
    let repo = TestRepo::new();
    repo.commit_file("ana", "countersign.toml", "schema = 1\nmode = 1\n", "a broken policy");
    install(&repo);
    check_problems(&repo, &["policy-unreadable"]);
    repo.commit_file("ana", "countersign.toml", "schema = 1\n", "a policy");
    check_problems(&repo, &[]);
    let said = succeeds(repo.countersign(&["doctor"]));
    let head = repo.oid("HEAD");
    assert!(said.contains(&format!("\npolicy from {head}:countersign.toml\n")), "{said}");
    repo.git(&["config", "countersign.remote", "gone"]);
    check_problems(&repo, &["policy-unreadable"]);
}

#[test]
fn the_doctor_tells_people_what_runs() {
    let repo = TestRepo::new();
    put_hook(&repo, ".git/hooks/pre-push", "#!/bin/sh\nexit 0\n", 0o755);
    let output = repo.countersign(&["doctor"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        out(&output).ends_with(
            "problem [not-installed]: `countersign install` was not run in this repository\n  \
             fix: `countersign install`\n"
        ),
        "{}",
        out(&output)
    );
    install(&repo);
    let program = env!("CARGO_BIN_EXE_countersign");
    let hooks = repo.path().join(".git/hooks");
    let git = repo.git(&["version"]).trim_start_matches("git version ").to_owned();
    assert_eq!(
        succeeds(repo.countersign(&["doctor"])),
        format!(
            "git {git}, mode shim, hooks folder {hooks}\n  \
               pre-commit        shim 2 -> {program}\n  \
               commit-msg        shim 2 -> {program}\n  \
               pre-merge-commit  shim 2 -> {program}\n  \
               pre-push          shim 2 -> {program}, after {hooks}/pre-push.countersign-chained\n  \
               post-commit       shim 2 -> {program}\n\
             no policy at the trusted ref yet: the built-in default observes, and blocks nothing\n\
             every hook runs countersign\n",
            hooks = hooks.display()
        )
    );
}

#[test]
fn the_hooks_for_pre_commit_are_those_of_the_snippet() {
    let shipped = std::fs::read_to_string(".pre-commit-hooks.yaml").unwrap();
    let repo = TestRepo::new();
    let text = "#!/usr/bin/env bash\n# File generated by pre-commit: https://pre-commit.com\n";
    put_hook(&repo, ".git/hooks/pre-commit", text, 0o755);
    let snippet = succeeds(repo.countersign(&["install", "--mode", "snippet"]));
    let mut entries = 0;
    for line in shipped.lines().filter(|line| line.contains("entry: ") || line.contains("id: ")) {
        let wanted = line.trim_start_matches(['-', ' ']);
        assert!(snippet.contains(wanted), "{wanted} is not in the snippet");
        entries += 1;
    }
    assert_eq!(entries, 6);
}

/// Runs install.sh with nothing on `PATH` but these programs.
#[track_caller]
fn check_install_script(programs: &[&str], arguments: &[&str], expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    for program in programs {
        let real = std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|folder| folder.join(program))
            .find(|path| path.exists())
            .unwrap();
        std::os::unix::fs::symlink(real, folder.path().join(program)).unwrap();
    }
    let output = Command::new("/bin/sh")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("install.sh"))
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", folder.path())
        .env("HOME", folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}{}", out(&output), err(&output));
    assert_eq!(err(&output).lines().last(), Some(expected));
}

#[test]
fn the_install_script_says_what_is_missing() {
    check_install_script(
        &["dirname"],
        &[],
        "install.sh: git is missing: install it with your package manager (apt-get install git, brew install git)",
    );
    check_install_script(
        &["dirname", "git"],
        &[],
        "install.sh: cargo is missing: install Rust from https://rustup.rs, then run this again",
    );
    check_install_script(
        &["dirname", "git", "cargo"],
        &[],
        "install.sh: a C compiler is missing (libgit2 is built in): apt-get install build-essential, \
         dnf install gcc, apk add build-base, or xcode-select --install",
    );
    check_install_script(
        &["dirname", "sed"],
        &["--bogus"],
        "install.sh: unknown argument: --bogus",
    );
    check_install_script(&["dirname"], &["--prefix"], "install.sh: --prefix needs a folder");
}

#[test]
fn an_interrupted_installation_can_be_finished_or_undone() {
    let repo = TestRepo::new();
    let hook = put_hook(&repo, ".git/hooks/pre-push", "#!/bin/sh\nexit 0\n", 0o750);
    let before = snapshot(repo.path());
    let kept = repo.path().join(".git/hooks/pre-push.countersign-chained");
    // The hook has its second name, and ours is not written yet.
    std::fs::hard_link(&hook, &kept).unwrap();
    succeeds(repo.countersign(&["uninstall"]));
    assert_eq!(snapshot(repo.path()), before);
    std::fs::hard_link(&hook, &kept).unwrap();
    install(&repo);
    check_problems(&repo, &[]);
    // Ours is gone, and the kept hook is not back in its place yet.
    std::fs::remove_file(&hook).unwrap();
    succeeds(repo.countersign(&["uninstall"]));
    assert_eq!(snapshot(repo.path()), before);
}

#[test]
fn a_hook_that_took_our_place_is_not_overwritten() {
    let repo = TestRepo::new();
    put_hook(&repo, ".git/hooks/pre-push", "#!/bin/sh\nexit 0\n", 0o755);
    install(&repo);
    put_hook(&repo, ".git/hooks/pre-push", "#!/bin/sh\nexit 1\n", 0o755);
    let before = snapshot(repo.path());
    let output = repo.countersign(&["install"]);
    let hook = repo.path().join(".git/hooks/pre-push");
    let hook = hook.display();
    assert_eq!(
        err(&output),
        format!(
            "error: `{hook}` is not ours, and `{hook}.countersign-chained` is already kept: \
             one of the two must go first\n\
             hint: compare the two, remove the one that nobody needs, and repeat the command\n"
        )
    );
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(snapshot(repo.path()), before);
    let output = repo.countersign(&["uninstall"]);
    assert!(output.status.success());
    assert_eq!(
        err(&output),
        format!(
            "note: `{hook}.countersign-chained` stays: another tool took the hook's place since; \
             compare the two, and remove one\n"
        )
    );
}

#[test]
fn a_config_hook_finds_the_program_or_blocks_with_one_sentence() {
    use countersign::adapters::hooks_dir::{Event, config_command};
    let repo = TestRepo::new();
    let program = put_hook(&repo, "it's here/countersign", "#!/bin/sh\necho \"$@\"\n", 0o755);
    let run = || {
        // As git runs it: the arguments are appended.
        let mut command = config_command(Event::PrePush, Some(&program));
        command.push(" \"$@\"");
        let mut shell = repo.command("/bin/sh");
        shell.arg("-c").arg(command).args(["pre-push", "origin", "two words"]);
        shell.env("PATH", path_without_us()).output().unwrap()
    };
    assert_eq!(succeeds(run()), "hook pre-push origin two words\n");
    std::fs::remove_file(&program).unwrap();
    let output = run();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        err(&output),
        "countersign: pre-push: blocked, because the countersign program was not found; \
         install it again, then run countersign doctor.\n"
    );
}
/// A foreign hook that writes down how it was called, what it read, and which
/// index git gave it, into `<event>.log` beside the repository; exits with `status`.
fn put_recorder(repo: &TestRepo, event: &str, status: i32) -> PathBuf {
    let log = repo.home().join(format!("{event}.log"));
    let text = format!(
        "#!/bin/sh\n{{ echo \"$# $*\"; echo \"index ${{GIT_INDEX_FILE:-none}}\"; cat; }} >> '{}'\nexit {status}\n",
        log.display()
    );
    put_hook(repo, &format!(".git/hooks/{event}"), &text, 0o755);
    log
}

fn commit(repo: &TestRepo, file: &str) -> Output {
    repo.write(file, "1\n");
    repo.git(&["add", file]);
    repo.git_command(&["commit", "-q", "-m", "add a file"]).output().unwrap()
}

#[test]
fn a_kept_hook_runs_as_git_would_run_it() {
    let repo = TestRepo::new();
    let staged = put_recorder(&repo, "pre-commit", 0);
    let message = put_recorder(&repo, "commit-msg", 0);
    install(&repo);
    succeeds(commit(&repo, "a"));
    assert_eq!(std::fs::read_to_string(&staged).unwrap(), "0 \nindex .git/index\n");
    let expected = "1 .git/COMMIT_EDITMSG\nindex .git/index\n";
    assert_eq!(std::fs::read_to_string(&message).unwrap(), expected);
}

#[test]
fn both_answers_count() {
    let repo = TestRepo::new();
    let log = put_recorder(&repo, "pre-commit", 3);
    install(&repo);
    let output = commit(&repo, "a");
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    assert!(log.exists());
    put_hook(&repo, ".git/hooks/pre-commit.countersign-chained", "#!/bin/sh\nexit 0\n", 0o755);
    succeeds(commit(&repo, "b"));
    // Ours cannot decide without its trusted remote.
    repo.git(&["config", "countersign.remote", "gone"]);
    let output = commit(&repo, "c");
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("countersign.remote"), "{}", err(&output));
}

#[test]
fn a_kept_hook_that_is_not_executable_does_not_run() {
    let repo = TestRepo::new();
    let log = put_recorder(&repo, "pre-commit", 1);
    let hook = repo.path().join(".git/hooks/pre-commit");
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o644)).unwrap();
    install(&repo);
    succeeds(commit(&repo, "a"));
    assert!(!log.exists());
}

#[test]
fn a_kept_script_without_an_interpreter_runs_in_the_shell() {
    let repo = TestRepo::new();
    let log = repo.home().join("log");
    let text = format!("\necho ran > '{}'\n", log.display());
    put_hook(&repo, ".git/hooks/pre-commit", &text, 0o755);
    install(&repo);
    succeeds(commit(&repo, "a"));
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "ran\n");
}

#[test]
fn every_pushed_ref_reaches_a_kept_hook() {
    let repo = TestRepo::new();
    let first = repo.commit_file("ana", "a", "1\n", "one");
    let _remote = repo.bare_remote();
    repo.git(&["push", "-q", "origin", "main"]);
    let log = put_recorder(&repo, "pre-push", 0);
    install(&repo);
    repo.git(&["branch", "feature-one"]);
    repo.git(&["branch", "feature-two"]);
    repo.git(&["push", "-q", "origin", "feature-one", "feature-two"]);
    let url = repo.git(&["remote", "get-url", "origin"]);
    let zero = "0".repeat(40);
    assert_eq!(
        std::fs::read_to_string(&log).unwrap(),
        format!(
            "2 origin {url}\nindex none\n\
             refs/heads/feature-one {first} refs/heads/feature-one {zero}\n\
             refs/heads/feature-two {first} refs/heads/feature-two {zero}\n"
        )
    );
}

#[test]
fn a_kept_hook_of_a_server_says_no_too() {
    let repo = TestRepo::new();
    repo.commit_file("ana", "a", "1\n", "one");
    let server = repo.bare_remote();
    let log = repo.home().join("log");
    let text = format!("#!/bin/sh\ncat >> '{}'\nexit 1\n", log.display());
    let hook = put_hook(&server, "hooks/pre-receive", &text, 0o755);
    succeeds(server.countersign(&["install", "--server"]));
    let push = || repo.git_command(&["push", "-q", "origin", "HEAD:feature"]).output().unwrap();
    assert!(!push().status.success());
    let head = repo.oid("HEAD");
    let expected = format!("{} {head} refs/heads/feature\n", "0".repeat(40));
    assert_eq!(std::fs::read_to_string(&log).unwrap(), expected);
    std::fs::write(hook.with_file_name("pre-receive.countersign-chained"), "#!/bin/sh\n").unwrap();
    succeeds(push());
}

#[test]
fn hooks_that_call_each_other_end() {
    let repo = TestRepo::new();
    let log = repo.home().join("log");
    // Another manager's hook, which runs what it found in its place before.
    let manager = format!(
        "#!/bin/sh\n# File generated by prek: https://github.com/j178/prek\necho manager >> '{}'\n\
         [ ! -x \"$(dirname \"$0\")/pre-commit.legacy\" ] || \"$(dirname \"$0\")/pre-commit.legacy\" \"$@\"\n",
        log.display()
    );
    put_hook(&repo, ".git/hooks/pre-commit", &manager, 0o755);
    succeeds(repo.countersign(&["install", "--mode", "shim"]));
    // It installs itself again, over ours.
    let hooks = repo.path().join(".git/hooks");
    std::fs::rename(hooks.join("pre-commit"), hooks.join("pre-commit.legacy")).unwrap();
    put_hook(&repo, ".git/hooks/pre-commit", &manager, 0o755);
    succeeds(commit(&repo, "a"));
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "manager\nmanager\n");
}
