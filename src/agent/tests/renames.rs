//! A renamed table of the configuration continues from its checkpoint, or the agent does not start.

use std::fmt::Write as _;
use std::path::Path;

use kit::FakeStore;
use kit::store::{Do, Refusal};

use super::super::Opened;
use super::agent::{Node, Process, TENS, elasticsearch, loki, until};
use crate::agent::parts::NotTakenOver;
use crate::checkpoint::{State, Store};
use crate::config::Config;
use crate::dead_letters;

/// What an operator configures: the cluster, the names of inputs that follow the log, and the output's table.
struct Written<'a> {
    cluster: &'a str,
    inputs: &'a [&'a str],
    output: String,
}

impl Written<'_> {
    fn config(&self, node: &Node) -> Config {
        let mut text = format!(
            "node = \"n\"\n{}\nstate_dir = {:?}\ndisk = {{ min_free = \"0%\" }}\ncheckpoint_interval = \"10ms\"\n\
             [server]\nlisten = \"off\"\n",
            self.cluster,
            node.state()
        );
        for input in self.inputs {
            write!(text, "[inputs.{input}]\ntype = \"file\"\npath = {:?}\nrescan = \"100ms\"\nhold = {{ min_free = \"0%\" }}\n",
                node.log()).unwrap();
        }
        text.push_str(&self.output);
        Config::parse(&text, Path::new("test"), &|_| None).unwrap()
    }
}

fn offset(node: &Node, input: &str, output: &str) -> u64 {
    let Ok(loaded) = Store::load(&node.state()) else { return 0 };
    let pair = loaded.state.pair(input, output).cloned().unwrap_or_default();
    pair.cursor.generations.values().map(|progress| progress.offset).sum()
}

/// Writes some events and runs until they are acknowledged under these names.
fn run(node: &mut Node, input: &str, output: (&str, String)) {
    node.write(15);
    let written = Written { cluster: "cluster = \"c\"", inputs: &[input], output: output.1 };
    let process = Process::start(written.config(node));
    let all = std::fs::metadata(node.log()).unwrap().len();
    until("all is acknowledged", || offset(node, input, output.0) == all);
    assert!(process.stop());
}

fn named(
    made: fn(&FakeStore, &str) -> String,
    fake: &FakeStore,
    name: &'static str,
) -> (&'static str, String) {
    let table = made(fake, TENS).replacen("[outputs.loki]", &format!("[outputs.{name}]"), 1);
    (name, table.replacen("[outputs.es]", &format!("[outputs.{name}]"), 1))
}

/// Changes the checkpoint while no agent runs.
fn change(node: &Node, change: impl FnOnce(&mut State)) {
    let store = Store::open(&node.state()).unwrap();
    let mut state = Store::load(&node.state()).unwrap().state;
    change(&mut state);
    store.save(&state).unwrap();
}

#[test]
fn a_renamed_output_and_a_renamed_input_send_nothing_again() {
    for made in [loki, elasticsearch] {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        run(&mut node, "api", named(made, &fake, "first"));
        run(&mut node, "api", named(made, &fake, "second"));
        run(&mut node, "kube", named(made, &fake, "second"));
        run(&mut node, "server", named(made, &fake, "third"));
        node.all_once(&fake);
        assert_eq!(fake.counts().len(), 60);
        let pairs = Store::load(&node.state()).unwrap().state.pairs;
        assert_eq!(pairs.len(), 1, "nothing is left under a former name: {pairs:?}");
    }
}

#[test]
fn a_checkpoint_of_version_0_1_0_is_known_by_what_stands_in_the_log_and_by_the_outputs_place() {
    for made in [loki, elasticsearch] {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        run(&mut node, "api", named(made, &fake, "first"));
        change(&node, |state| {
            state.cluster = None;
            state.inputs.iter_mut().for_each(|seen| seen.path = None);
            state.pairs.iter_mut().for_each(|pair| pair.to = None);
        });
        run(&mut node, "kube", named(made, &fake, "second"));
        node.all_once(&fake);
        assert_eq!(fake.counts().len(), 30);
    }
}

#[test]
fn what_was_under_way_under_a_former_name_is_looked_up_under_that() {
    for made in [loki, elasticsearch] {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        run(&mut node, "api", named(made, &fake, "first"));
        fake.state().always = Some(Do::TakeAndBreak);
        node.write(10);
        let (cluster, output) = ("cluster = \"c\"", named(made, &fake, "first").1);
        let process = Process::start(Written { cluster, inputs: &["api"], output }.config(&node));
        until("they are stored", || fake.counts().len() == 25);
        process.kill();
        fake.state().always = None;
        run(&mut node, "kube", named(made, &fake, "first"));
        node.all_once(&fake);
    }
}

#[test]
fn another_store_under_another_name_is_sent_everything() {
    let (one, other, mut node) = (FakeStore::new(), FakeStore::new(), Node::new());
    run(&mut node, "api", named(loki, &one, "first"));
    run(&mut node, "api", named(loki, &other, "second"));
    assert_eq!((one.counts().len(), other.counts().len()), (15, 30));
}

#[test]
fn the_dead_letters_of_a_renamed_pair_stay_its_own() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    fake.refuse(Refusal::Content, "venom");
    node.write_with("venom");
    run(&mut node, "api", named(elasticsearch, &fake, "first"));
    run(&mut node, "kube", named(elasticsearch, &fake, "second"));
    let found = dead_letters::look(&node.state()).unwrap();
    let found: Vec<_> =
        found.iter().map(|found| (&*found.input, &*found.output, found.count.letters)).collect();
    assert_eq!(found, [("kube", "second", 1)]);
}

#[test]
fn the_agent_does_not_start_where_it_is_not_certain_what_was_renamed_or_the_cluster_has_another_name()
 {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    run(&mut node, "api", named(loki, &fake, "first"));
    let refused = |cluster: &str, outputs: &[&'static str]| {
        let output = outputs.iter().map(|name| named(loki, &fake, name).1).collect();
        let config = Written { cluster, inputs: &["api"], output }.config(&node);
        let error = Opened::new(&config).err().expect("it starts");
        assert!(error.is::<NotTakenOver>(), "the exit code is that of a configuration: {error}");
        error.to_string()
    };
    let error = refused("cluster = \"c\"", &["one", "two"]);
    assert!(
        error.contains("`outputs.first` as `outputs.one`, or `outputs.first` as `outputs.two`"),
        "{error}"
    );
    for cluster in ["", "cluster = \"d\""] {
        let error = refused(cluster, &["first"]);
        assert!(
            error.contains("begun as \"c\"") && error.contains("set `cluster = \"c\"`"),
            "{error}"
        );
    }
    run(&mut node, "api", named(loki, &fake, "first"));
    node.all_once(&fake);
}
