//! No stream that OpenZFS made breaks a rule.

#![allow(clippy::unwrap_used, reason = "a test that finds no corpus to read fails")]

use std::fs::File;

use zferry_replicate::receive::rules::record::RecordRules;
use zferry_zstream::reader::{Place, StreamReader};
use zferry_zstream::record::Record;

#[test]
fn every_stream_of_the_corpus_keeps_the_rules() {
    let Some(corpus) = zferry_fixtures::corpus() else {
        return;
    };
    let names = corpus.manifest().unwrap().into_iter().map(|line| line.name);
    for name in names.chain(["zfsfuse-dedup".to_owned()]) {
        let mut reader = StreamReader::new(File::open(corpus.stream(&name)).unwrap()).without_checksums();
        let mut rules = None;
        while let Some(record) = reader.next_passing().unwrap() {
            match (&record.record, record.place) {
                (Record::Begin(begin), Place::StreamBegin) => rules = Some(RecordRules::of(begin)),
                (_, Place::Inside) => {
                    let checked = rules.as_mut().unwrap().check(&record.record);
                    assert_eq!(
                        checked,
                        Ok(()),
                        "{name} at {}: {:?}",
                        record.position,
                        record.record
                    );
                }
                _ => {}
            }
        }
    }
}
