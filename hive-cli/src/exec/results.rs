//! Reads the results of a job's targets one after the other, so that their output is never in memory all together.

use futures_util::{StreamExt, stream};
use hive_core::wire::agent::Channel;
use hive_core::wire::api::{ExecResult, JobTarget, JobTargetSort, PageRequest};
use hive_core::wire::{CommandId, JobId};

use super::groups::{Fingerprint, Fingerprinter, ResultGroup, ResultGroups};
use super::line_buffer::LineBuffer;
use crate::error::Result;
use crate::exit;
use crate::output::{self, JsonList};
use hive_core::HiveApi;
use hive_core::lists::next_request;

/// Targets in one request.
const PAGE_SIZE: u32 = 200;
/// Targets whose output is downloaded at the same time.
const CONCURRENT_DOWNLOADS: usize = 4;

/// Writes the results as one JSON list, ordered by name. Returns the exit code.
pub(crate) async fn json(api: &dyn HiveApi, printer: output::Printer, id: JobId) -> Result<u8> {
    let mut list = JsonList::new(printer);
    let mut worst = 0;
    let mut targets = TargetPages::new(api, id);
    while let Some(page) = targets.next().await? {
        // `buffered` keeps the order of the page, which is that of names.
        let mut results =
            stream::iter(page.into_iter().map(|target| result(api, target))).buffered(CONCURRENT_DOWNLOADS);
        while let Some(result) = results.next().await {
            let result = result?;
            worst = worst.max(exit::of_target(&result.status, result.exit_code, result.truncated));
            list.push(&result)?;
        }
    }
    list.end()?;
    Ok(worst)
}

/// Writes the results as text, grouped by how they ended. Returns the exit code.
pub(crate) async fn grouped(api: &dyn HiveApi, id: JobId) -> Result<u8> {
    let (mut groups, mut worst) = (ResultGroups::default(), 0);
    let mut targets = TargetPages::new(api, id);
    while let Some(page) = targets.next().await? {
        let fingerprints = page.into_iter().map(|target| fingerprinted(api, target));
        let mut fingerprints = stream::iter(fingerprints).buffered(CONCURRENT_DOWNLOADS);
        while let Some(done) = fingerprints.next().await {
            let (target, output) = done?;
            worst = worst.max(exit::of_target(&target.status, target.exit_code, target.truncated));
            groups.add(target, output);
        }
    }
    // The first pass kept fingerprints only. The output of each group is downloaded once more, from one of its
    // satellites.
    for group in groups.sorted() {
        show(api, &group).await?;
    }
    Ok(worst)
}

/// The pages of a job's targets.
pub(crate) struct TargetPages<'a> {
    api: &'a dyn HiveApi,
    id: JobId,
    /// `None` behind the last page.
    next: Option<PageRequest<JobTargetSort>>,
}

impl<'a> TargetPages<'a> {
    pub(crate) fn new(api: &'a dyn HiveApi, id: JobId) -> Self {
        Self { api, id, next: Some(PageRequest::first(PAGE_SIZE)) }
    }

    /// Returns the next page; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<JobTarget>>> {
        let Some(request) = self.next.take() else { return Ok(None) };
        let page = self.api.jobs().list_targets(self.id, request).await?;
        self.next = next_request(&PageRequest::first(PAGE_SIZE), &page);
        Ok(Some(page.items).filter(|items| !items.is_empty()))
    }
}

/// Downloads one output of a command in chunks.
struct OutputDownload<'a> {
    api: &'a dyn HiveApi,
    command: Option<CommandId>,
    channel: Channel,
    next: u64,
    len: u64,
}

impl<'a> OutputDownload<'a> {
    fn new(api: &'a dyn HiveApi, command: Option<CommandId>, channel: Channel, len: u64) -> Self {
        Self { api, command, channel, next: 0, len }
    }

    /// Returns the next chunk; empty at the end.
    async fn next(&mut self) -> Result<bytes::Bytes> {
        let Some(command) = self.command.filter(|_| self.next < self.len) else {
            return Ok(bytes::Bytes::new());
        };
        // The hive decides how much one answer holds: the next request begins where it ended.
        let chunk = self.api.commands().output(command, self.channel.clone(), self.next).await?;
        self.next += chunk.len() as u64;
        Ok(chunk)
    }
}

async fn result(api: &dyn HiveApi, target: JobTarget) -> Result<ExecResult> {
    let mut texts = Vec::new();
    for (channel, len) in [(Channel::Stdout, target.stdout_bytes), (Channel::Stderr, target.stderr_bytes)] {
        let mut output = OutputDownload::new(api, target.command_id, channel, len);
        let mut all = Vec::new();
        loop {
            let chunk = output.next().await?;
            if chunk.is_empty() {
                break;
            }
            all.extend_from_slice(&chunk);
        }
        texts.push(String::from_utf8_lossy(&all).into_owned());
    }
    let (stderr, stdout) = (texts.pop().unwrap_or_default(), texts.pop().unwrap_or_default());
    let end = target.end();
    let JobTarget { satellite_id, satellite_name, command_id, status, .. } = target;
    let result = ExecResult::without_output(satellite_id, satellite_name, command_id, status, end);
    Ok(ExecResult { stdout, stderr, ..result })
}

async fn fingerprinted(api: &dyn HiveApi, target: JobTarget) -> Result<(JobTarget, Fingerprint)> {
    let mut fingerprint = Fingerprinter::default();
    for (channel, len) in [(Channel::Stdout, target.stdout_bytes), (Channel::Stderr, target.stderr_bytes)] {
        let mut output = OutputDownload::new(api, target.command_id, channel, len);
        loop {
            let chunk = output.next().await?;
            if chunk.is_empty() {
                break;
            }
            fingerprint.push(&chunk);
        }
    }
    Ok((target, fingerprint.finish()))
}

async fn show(api: &dyn HiveApi, group: &ResultGroup) -> Result<()> {
    output::text(&group.heading())?;
    show_output(OutputDownload::new(api, group.sample, Channel::Stdout, group.stdout_bytes)).await?;
    if group.stderr_bytes > 0 {
        output::stderr_text(&format!("{}, stderr:", group.listed_names()));
        show_output(OutputDownload::new(api, group.sample, Channel::Stderr, group.stderr_bytes)).await?;
    }
    Ok(())
}

async fn show_output(mut download: OutputDownload<'_>) -> Result<()> {
    let mut lines = LineBuffer::default();
    loop {
        let chunk = download.next().await?;
        if chunk.is_empty() {
            return output::raw(&download.channel, lines.take_rest().as_bytes());
        }
        output::raw(&download.channel, lines.push(&chunk).as_bytes())?;
    }
}
