//! A receive from its first change of the pool to its last.

use super::apply::Applier;
use super::begin::{HIDDEN, Place, options};
use super::properties::Properties;
use super::{Incoming, Progress, ReceiveError, Received, Request, pipeline};
use zferry_zpool::{DatasetId, Error, PoolWriter};
use zferry_zstream::record::Begin;
use zferry_zstream::source::Source;

/// What a receive is to do, and has done.
#[derive(Debug)]
pub(super) struct Work<'a> {
    place: Place,
    begin: &'a Begin,
    request: &'a Request,
    properties: Properties<'a>,
    /// What it made: each after the one that it lies below, the one that is received into last.
    made: Vec<DatasetId>,
    /// Whether any of it is in the pool for good.
    is_committed: bool,
}

impl<'a> Work<'a> {
    pub(super) fn new(place: Place, begin: &'a Begin, request: &'a Request) -> Self {
        Self {
            place,
            begin,
            request,
            properties: Properties::new(request),
            made: Vec::new(),
            is_committed: false,
        }
    }

    /// Does it all, or nothing.
    pub(super) fn run<S: Source + Send>(
        mut self,
        writer: &mut PoolWriter,
        incoming: &mut Incoming<S>,
        progress: &Progress,
    ) -> Result<Received, ReceiveError> {
        let received = self.receive(writer, incoming, progress);
        if received.is_err() {
            // Where even that fails, whoever opens the pool for writing next does it.
            let _ = self.unmake(writer);
        }
        received
    }

    fn receive<S: Source + Send>(
        &mut self,
        writer: &mut PoolWriter,
        incoming: &mut Incoming<S>,
        progress: &Progress,
    ) -> Result<Received, ReceiveError> {
        let dataset = self.make(writer)?;
        if let Some(command) = &self.request.command {
            writer.log_command(command)?;
        }
        let policies = writer.policies(dataset)?;
        let mut applier = Applier::new(writer, dataset, policies.clone(), self.begin, incoming.endian);
        let mut outcome = pipeline::run(incoming, policies, &mut applier, progress);
        let is_over_origin = self.begin.from_guid == 0 && matches!(self.place, Place::New(Some(_)));
        if outcome.is_ok()
            && is_over_origin
            && let Err(error) = applier.free_behind()
        {
            outcome = Err(error);
        }
        self.is_committed = applier.has_committed();
        let bytes = outcome?.saturating_sub(incoming.start);
        self.finish(writer, dataset)?;
        Ok(Received {
            bytes,
            property_errors: std::mem::take(&mut self.properties.errors),
        })
    }

    /// Makes the dataset that is received into.
    fn make(&mut self, writer: &mut PoolWriter) -> Result<DatasetId, Error> {
        let target = &*self.request.destination.dataset;
        let options = options(self.begin);
        for parent in &self.request.parents {
            self.made.push(writer.create_file_system(parent, &[])?);
        }
        let dataset = match self.place {
            Place::New(None) => writer.begin_dataset(target, &options)?,
            Place::New(Some(origin)) => writer.begin_clone(target, origin, &options.features)?,
            Place::Over { head, base } => writer.begin_hidden(head, HIDDEN, base, &options)?,
        };
        self.made.push(dataset);
        match self.place {
            Place::New(_) => self.properties.begin_new(writer, target)?,
            Place::Over { .. } => {
                let hidden = format!("{target}/{HIDDEN}");
                self.properties.begin_hidden(writer, target, &hidden)?;
            }
        }
        Ok(dataset)
    }

    /// The last step, in one transaction group.
    fn finish(&mut self, writer: &mut PoolWriter, dataset: DatasetId) -> Result<(), Error> {
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
            writer.clone_swap(dataset, head)?;
            self.properties.replace(writer, name)?;
            target = head;
        } else {
            self.properties.end_new(writer, name)?;
        }
        let (snapshot, begin) = (&self.request.destination.snapshot, self.begin);
        writer.finish_dataset(target, snapshot, begin.to_guid, begin.creation_time)?;
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
