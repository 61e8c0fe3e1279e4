//! A receive from its first change of the pool to its last.

use super::apply::Applier;
use super::begin::{HIDDEN, Place, options};
use super::properties::Properties;
use super::resume::{self, Point, Resumed};
use super::rules::key_data::KeyData;
use super::rules::redaction::Redaction;
use super::{Incoming, Progress, ReceiveError, Received, Request, pipeline};
use zferry_zpool::{DatasetId, Error, PoolWriter};
use zferry_zstream::flags::FeatureFlags;
use zferry_zstream::record::Begin;
use zferry_zstream::source::Source;

/// What a receive is to do, and has done.
#[derive(Debug)]
pub(super) struct Work<'a> {
    place: Place,
    /// With what it goes on.
    resumed: Option<Resumed>,
    begin: &'a Begin,
    request: &'a Request,
    properties: Properties<'a>,
    /// How a raw stream is encrypted.
    raw: Option<KeyData>,
    /// What it made: each after the one that it lies below, the one that is received into last.
    made: Vec<DatasetId>,
    /// Whether any of it is in the pool for good.
    is_committed: bool,
    /// Whether what is in the pool stays there when it fails.
    is_kept: bool,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        place: Place,
        resumed: Option<Resumed>,
        begin: &'a Begin,
        request: &'a Request,
        raw: Option<KeyData>,
    ) -> Self {
        Self {
            place,
            resumed,
            begin,
            request,
            properties: Properties::new(request),
            raw,
            made: Vec::new(),
            is_committed: false,
            is_kept: false,
        }
    }

    /// Does it all, or nothing; or what can be done, where that is to be kept.
    pub(super) fn run<S: Source + Send>(
        mut self,
        writer: &mut PoolWriter,
        incoming: &mut Incoming<S>,
        progress: &Progress,
    ) -> Result<Received, ReceiveError> {
        let received = self.receive(writer, incoming, progress);
        if received.is_err() {
            // Where even that fails, whoever opens the pool for writing next does it.
            let _ = if self.is_kept {
                writer.discard()
            } else {
                self.unmake(writer)
            };
        }
        received
    }

    fn receive<S: Source + Send>(
        &mut self,
        writer: &mut PoolWriter,
        incoming: &mut Incoming<S>,
        progress: &Progress,
    ) -> Result<Received, ReceiveError> {
        // Of a stream that ends behind BEGIN, there is nothing to be kept.
        incoming.reader.look_ahead()?;
        let dataset = match self.resumed {
            Some(resumed) => self.go_on(writer, resumed)?,
            None => self.make(writer)?,
        };
        if let Some(command) = &self.request.command {
            writer.log_command(command)?;
        }
        if self.resumed.is_none() {
            // A clone of what is redacted is so, too, unless the stream says what is left out.
            let is_redacted = self.begin.features().contains(FeatureFlags::REDACTED);
            let redaction = Redaction::of(incoming.list()?);
            writer.set_redaction(dataset, redaction.snapshots.filter(|_| is_redacted))?;
        }
        if self.request.is_resumable && self.resumed.is_none() {
            resume::note_stream(writer, dataset, self.begin, incoming.list()?)?;
            writer.commit()?;
            self.is_committed = true;
        }
        self.is_kept = self.request.is_resumable;
        let policies = writer.policies(dataset)?;
        let mut applier = Applier::new(
            writer,
            dataset,
            policies.clone(),
            self.begin,
            incoming.endian,
            &self.request.destination.dataset,
        );
        if self.request.is_resumable {
            applier.note_point(Point::new(incoming.start, self.resumed.as_ref()));
        }
        if let Some(resumed) = self.resumed {
            applier.go_on_at(resumed.object);
        }
        let mut outcome = pipeline::run(incoming, policies, &mut applier, progress);
        let is_over_origin = self.begin.from_guid == 0 && matches!(self.place, Place::New(Some(_)));
        if outcome.is_ok()
            && is_over_origin
            && let Err(error) = applier.free_behind()
        {
            outcome = Err(error);
        }
        if let Err(error) = &outcome
            && self.is_kept
            && !error.is_of_pool()
        {
            // Where that fails, what was committed before is kept.
            let _ = applier.commit();
        }
        self.is_committed |= applier.has_committed();
        let bytes = outcome?.saturating_sub(incoming.start);
        self.finish(writer, dataset)?;
        Ok(Received {
            bytes,
            property_errors: std::mem::take(&mut self.properties.errors),
        })
    }

    /// Takes over what an earlier receive has made.
    fn go_on(&mut self, writer: &mut PoolWriter, resumed: Resumed) -> Result<DatasetId, Error> {
        self.made.push(resumed.dataset);
        self.is_committed = true;
        self.is_kept = true;
        if let Some(raw) = &self.raw {
            writer.begin_raw(resumed.dataset, &raw.set)?;
        }
        self.set_first_properties(writer)?;
        Ok(resumed.dataset)
    }

    /// Makes the dataset that is received into.
    fn make(&mut self, writer: &mut PoolWriter) -> Result<DatasetId, Error> {
        let target = &*self.request.destination.dataset;
        let options = options(self.begin, &self.request.encryption);
        for parent in &self.request.parents {
            self.made.push(writer.create_file_system(parent, &[])?);
        }
        let dataset = match self.place {
            Place::New(None) => writer.begin_dataset(target, &options)?,
            Place::New(Some(origin)) => writer.begin_clone(target, origin, &options.features)?,
            Place::Over { head, base } => writer.begin_hidden(head, HIDDEN, base, &options)?,
        };
        self.made.push(dataset);
        if let Some(raw) = &self.raw {
            // What exists keeps its key until all has come.
            if matches!(self.place, Place::New(_)) {
                writer.receive_key(dataset, &raw.key)?;
            }
            writer.begin_raw(dataset, &raw.set)?;
        }
        self.set_first_properties(writer)?;
        Ok(dataset)
    }

    /// Sets what matters for what is received; of a new dataset, everything.
    fn set_first_properties(&mut self, writer: &mut PoolWriter) -> Result<(), Error> {
        let target = &*self.request.destination.dataset;
        match self.place {
            Place::New(_) => self.properties.begin_new(writer, target),
            Place::Over { .. } => {
                let hidden = format!("{target}/{HIDDEN}");
                self.properties.begin_hidden(writer, target, &hidden)
            }
        }
    }

    /// The last step, in one transaction group.
    fn finish(&mut self, writer: &mut PoolWriter, dataset: DatasetId) -> Result<(), ReceiveError> {
        let name = &*self.request.destination.dataset;
        let mut target = dataset;
        if let Place::Over { head, base } = self.place {
            // What is newer than the base has only changes that are to go, or none.
            while let Some(newest) = writer
                .newest_snapshot(head)?
                .filter(|newest| Some(*newest) != base)
            {
                writer.destroy_snapshot(newest, false)?;
            }
            if !writer.fits_ref_quota(dataset, head)? {
                return Err(ReceiveError::RefQuota(name.to_owned()));
            }
            writer.clone_swap(dataset, head)?;
            self.properties.replace(writer, name)?;
            target = head;
        } else {
            self.properties.end_new(writer, name)?;
        }
        resume::forget(writer, target)?;
        let (snapshot, begin) = (&self.request.destination.snapshot, self.begin);
        let made = writer.finish_dataset(target, snapshot, begin.to_guid, begin.creation_time)?;
        if let Some(raw) = &self.raw {
            if matches!(self.place, Place::Over { .. }) {
                writer.receive_key(target, &raw.key)?;
            }
            if raw.to_ivset_guid != 0 {
                writer.set_ivset_guid(made, raw.to_ivset_guid)?;
            }
        }
        if target != dataset {
            writer.destroy_head(dataset)?;
        }
        writer.commit()?;
        Ok(())
    }

    /// Takes away what was made.
    fn unmake(self, writer: &mut PoolWriter) -> Result<(), Error> {
        writer.discard()?;
        if !self.is_committed {
            return Ok(());
        }
        for dataset in self.made.into_iter().rev() {
            writer.destroy_head(dataset)?;
            writer.commit()?;
        }
        Ok(())
    }
}
