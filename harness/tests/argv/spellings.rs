//! By whatever spelling a file is named on a command line, it is the same file, with the same project around it.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::symlink;

use super::assize;

const OUTSIDE: &str = "lies outside of the project";

pub(crate) fn no_spelling_leads_out_of_the_project() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().canonicalize().unwrap();
    let project = whole.join("project");
    fs::create_dir_all(project.join("sub")).unwrap();
    fs::create_dir(whole.join("beside")).unwrap();
    symlink(&project, whole.join("link")).unwrap();
    let put = |name: &str, text: &str| fs::write(whole.join(name), text).unwrap();
    put("beside/x", "x\n");
    put("beside/_x.yaml", "run: [\"true\"]\n");
    put("project/y", "y\n");
    put("project/absolute.yaml", "files: { b: { from: /etc/passwd } }\nrun: [cat, b]\n");
    put("project/relative.yaml", "files: { b: { from: ../beside/x } }\nrun: [cat, b]\n");
    put("project/missing.yaml", "files: { b: { from: ../beside/none } }\nrun: [cat, b]\n");
    put("project/extends.yaml", "extends: ../beside/_x.yaml\n");
    put("project/inside.yaml", "files: { b: { from: y } }\nrun: [cat, b]\nexpect: { stdout: y }\n");
    let spelt = |name: &str| {
        let whole = whole.display();
        [
            format!("{name}.yaml"),
            format!("./{name}.yaml"),
            format!("sub/../{name}.yaml"),
            format!("../project/{name}.yaml"),
            format!("../link/{name}.yaml"),
            format!("{whole}/project/{name}.yaml"),
            format!("{whole}/link/{name}.yaml"),
        ]
    };
    for command in ["run", "check", "explain", "bless"] {
        for name in ["absolute", "relative", "missing", "extends"] {
            for file in spelt(name) {
                let said = assize(&project, &[command, &file]);
                let told = said.stdout + &said.stderr;
                assert!(said.code != 0 && told.contains(OUTSIDE), "{command} {file}: {told}");
            }
        }
    }
    for command in ["run", "check", "explain"] {
        for file in spelt("inside") {
            let said = assize(&project, &[command, &file]);
            assert_eq!(said.code, 0, "{command} {file}: {}{}", said.stdout, said.stderr);
        }
    }
}

pub(crate) fn what_is_no_file_is_named_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let said = assize(folder.path(), &["explain", "."]);
    assert!(said.code == 1 && said.stderr.contains("--> .\n"), "{}", said.stderr);
}
