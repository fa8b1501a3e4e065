//! Places that exist on one machine, or in one network, only.

use crate::Finding;

/// Folders of one machine; put together here, so that the rule does not find itself.
const FOLDERS: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/tmp", "/wt"), concat!("/ro", "ot/"), concat!("/tmp", "/tgt")];

/// Hosts that serve packages.
const HOSTS: [&str; 7] = [
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("registry.", "npmjs.org"),
    concat!("pypi.", "org"),
    concat!("files.", "pythonhosted.org"),
    concat!("deb.", "debian.org"),
    concat!("proxy.", "golang.org"),
];

/// Finds absolute paths of one machine, and hosts that packages are served from.
pub(crate) fn one_machines_place(_path: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().enumerate();
    let places = lines.filter_map(|(index, line)| Some((index + 1, place_in(line)?)));
    places.map(|(line, place)| Finding::new(line, format!("names `{place}`"))).collect()
}

fn place_in(line: &str) -> Option<&'static str> {
    let folder = FOLDERS.into_iter().find(|folder| begins_a_path(line, folder));
    folder.or_else(|| HOSTS.into_iter().find(|host| line.contains(host)))
}

/// Whether the folder stands in the line as the beginning of a path, and not inside another or in an address.
fn begins_a_path(line: &str, folder: &str) -> bool {
    let inside = |letter: char| letter.is_alphanumeric() || "._-/}".contains(letter);
    line.match_indices(folder).any(|(at, _)| !line[..at].ends_with(inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_one_machine_is_found() {
        let text = format!("one\nsee {}notes\n", FOLDERS[0]);
        assert_eq!(one_machines_place("README.md", &text), [Finding::new(2, format!("names `{}`", FOLDERS[0]))]);
        assert_eq!(one_machines_place("a.rs", &format!("\"{}-a/x\"", FOLDERS[1])).len(), 1);
    }

    #[test]
    fn a_host_that_serves_packages_is_found() {
        assert_eq!(one_machines_place("a.toml", &format!("from https://{}/simple", HOSTS[3])).len(), 1);
    }

    #[test]
    fn paths_inside_the_workspace_and_addresses_are_left_alone() {
        let text = format!("docs{0}plan, https://example.com{0}x, ${{HOME}}{0}", FOLDERS[0]);
        assert_eq!(one_machines_place("README.md", &text), []);
    }
}
