//! What a test is kept away from: a network of its own, through Linux' user
//! namespaces and util-linux' `unshare` and `setpriv` (unshare(1), setpriv(1),
//! user_namespaces(7), network_namespaces(7)).

use std::ffi::OsString;
use std::path::Path;

use super::process::Call;

/// Ends unless the network is another than the one named, brings the loopback
/// device up where `ip` is there to do it, and becomes the command without the
/// capabilities that this took.
const INNER: &str = "now=$(readlink /proc/self/ns/net) && [ -n \"$now\" ] && [ -n \"$1\" ] && [ \"$now\" != \"$1\" ] || exit 125; shift; ip link set lo up 2>/dev/null; exec setpriv --inh-caps=-all --ambient-caps=-all -- \"$@\"";

/// The words to put in front of a command that shall reach nothing but its own
/// loopback device. They were tried: a command behind them was seen in another
/// network than ours. Fails with the reason, safe to print after neutralising.
pub(super) fn without_network(
    folder: &Path,
    environment: &[(OsString, OsString)],
) -> Result<Vec<OsString>, String> {
    if !cfg!(target_os = "linux") {
        return Err("only Linux can do that; `wrap` may name a program that can".to_owned());
    }
    let network = |words: &[OsString]| {
        let Some((program, arguments)) = words.split_first() else { return Err(String::new()) };
        let mut call = Call::new(program, folder).only_these_variables().args(arguments);
        for (name, value) in environment {
            call = call.env(name, value);
        }
        let output = call.run().map_err(|error| super::runner::chain(&error))?;
        match String::from_utf8_lossy(&output.stdout).trim() {
            name if output.success() && name.starts_with("net:[") => Ok(name.to_owned()),
            _ => Err(output.complaint()),
        }
    };
    let read = ["readlink", "/proc/self/ns/net"].map(OsString::from);
    let ours = network(&read)?;
    let mut words: Vec<OsString> = [
        "unshare",
        "--user",
        "--map-current-user",
        "--keep-caps",
        "--net",
        "--",
        "sh",
        "-c",
        INNER,
        "sh",
    ]
    .map(OsString::from)
    .to_vec();
    words.push(ours.clone().into());
    let theirs = network(&[&words[..], &read].concat())?;
    if theirs == ours {
        return Err("a command behind `unshare` has the same network".to_owned());
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What [`INNER`] does behind a network of this name: its exit status, and what it printed.
    fn behind(network: &str) -> (Option<i32>, String) {
        let folder = std::env::temp_dir();
        let call = Call::new("sh", &folder).args(["-c", INNER, "sh", network, "echo", "ran"]);
        let output = call.run().expect("there is a shell");
        (output.code, String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The last look, in front of the command itself: it is not run in the network
    /// that it shall not be in, nor where nobody knows which that is.
    #[test]
    fn a_command_is_not_run_in_the_network_that_it_shall_not_be_in() {
        if !cfg!(target_os = "linux") {
            return;
        }
        let read = Call::new("readlink", &std::env::temp_dir()).args(["/proc/self/ns/net"]).run();
        let own =
            String::from_utf8_lossy(&read.expect("coreutils are here").stdout).trim().to_owned();
        assert!(own.starts_with("net:["), "{own}");
        assert_eq!(behind(&own), (Some(125), String::new()));
        assert_eq!(behind(""), (Some(125), String::new()));
        let (code, printed) = behind("net:[1]");
        // `setpriv` is util-linux', as `unshare` is.
        assert!(code == Some(127) || (code, printed.as_str()) == (Some(0), "ran"), "{code:?}");
    }
}
