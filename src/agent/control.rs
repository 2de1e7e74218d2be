//! Handles requests about dead letters, in the agent or in a command that runs without one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::parts::all_ids;
use super::wiring::Wiring;
use crate::checkpoint::{Ledger, Pair};
use crate::dead_letters::DeadLetters;
use crate::output::Capabilities;
use crate::pipeline::{Ask, Resend, Sum, Waits};
use crate::server::ControlCall;
use crate::telemetry::PairStats;

/// Longest wait for requests in flight, when waiting events become dead letters.
const PATIENCE: Duration = Duration::from_secs(30);
/// Interval between two progress replies.
const WORD: Duration = Duration::from_secs(2);

/// A request, as it is sent through the socket.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum ControlRequest {
    Resend {
        #[serde(flatten)]
        which: Selector,
        /// Seconds.
        patience: u64,
    },
    Drop {
        #[serde(flatten)]
        which: Selector,
    },
    /// Makes dead letters of the events that wait for the operator.
    SetAside {
        #[serde(flatten)]
        which: Selector,
    },
}

/// Which dead letters. `None`: any.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Selector {
    pub(crate) input: Option<String>,
    pub(crate) output: Option<String>,
    pub(crate) ids: Option<Vec<String>>,
}

/// One line of the reply.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "said", rename_all = "snake_case")]
pub(crate) enum ControlReply {
    Progress {
        input: String,
        output: String,
        done: u64,
        of: u64,
    },
    /// Nothing new, but the work continues.
    Working,
    Pair(PairResult),
    Failed {
        error: String,
    },
    End,
}

/// The result for the dead letters of one pair.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct PairResult {
    pub(crate) input: String,
    pub(crate) output: String,
    /// Delivered, dropped, or made dead letters.
    pub(crate) gone: u64,
    pub(crate) refused: u64,
    /// Unreadable stretches of the files that were dropped.
    pub(crate) damaged: u64,
    pub(crate) of: u64,
    pub(crate) unknown: Vec<String>,
    pub(crate) problem: Option<String>,
}

/// The dead letters of one pair, and the means to send them again.
pub(crate) struct DeadLetterControl {
    input: Arc<str>,
    output: Arc<str>,
    letters: DeadLetters,
    /// `None`: a file output, which refuses nothing.
    resend: Option<Resend>,
    /// `None`: no agent runs, so no events wait.
    waits: Option<Arc<Waits>>,
    stats: Arc<PairStats>,
}

impl DeadLetterControl {
    /// `known`: what the checkpoint holds of the pair. `ledger`: that of the running agent, if there is one.
    ///
    /// # Errors If a file that the configuration of the output names cannot be used.
    pub(crate) fn new(
        wiring: &Wiring<'_>,
        letters: DeadLetters,
        known: Option<&Pair>,
        ledger: Option<Arc<Ledger>>,
    ) -> anyhow::Result<Self> {
        let Wiring { input, output, telemetry, .. } = wiring;
        let names = (Arc::clone(&input.name), Arc::clone(&output.name));
        let stats = telemetry.pair(&names.0, &names.1);
        let resend = if Capabilities::of(&output.kind).refuses {
            let limits = (output.batch.bytes, output.batch.events);
            let (settings, sender) = (wiring.settings(), wiring.output(&all_ids(known))?);
            let (names, letters) = ((&*names.0, &*names.1), letters.clone());
            Some(Resend::new(sender, names, letters, settings, limits, ledger, telemetry))
        } else {
            None
        };
        Ok(Self { input: names.0, output: names.1, letters, resend, waits: None, stats })
    }

    /// Adds the waiting events of a running pipeline.
    pub(crate) fn with_waits(self, waits: Arc<Waits>) -> Self {
        Self { waits: Some(waits), ..self }
    }

    fn tell(&self) {
        let count = self.letters.count();
        self.stats.set_letters(count.letters, count.bytes, count.damaged, count.oldest);
    }

    fn done(&self) -> PairResult {
        let (input, output) = (self.input.to_string(), self.output.to_string());
        PairResult { input, output, ..PairResult::default() }
    }

    async fn resend(
        &self,
        ids: Option<&[String]>,
        patience: Duration,
        said: &mpsc::Sender<ControlReply>,
    ) -> PairResult {
        let Some(resend) = &self.resend else { return self.done() };
        let go_on = |sum: &Sum| {
            let (input, output) = (self.input.to_string(), self.output.to_string());
            let done = (sum.delivered + sum.refused) as u64;
            let progress = ControlReply::Progress { input, output, done, of: sum.of as u64 };
            // A slow reader of the replies misses some of them.
            !matches!(said.try_send(progress), Err(mpsc::error::TrySendError::Closed(_)))
        };
        let sum = resend.run(&Ask { ids, patience, go_on: &go_on }).await;
        self.tell();
        let (input, output) = (&*self.input, &*self.output);
        let (delivered, refused, of) = (sum.delivered, sum.refused, sum.of);
        tracing::info!(
            input,
            output,
            delivered,
            refused,
            of,
            problem = sum.problem,
            "dead letters sent again"
        );
        PairResult {
            gone: delivered as u64,
            refused: refused as u64,
            of: of as u64,
            unknown: sum.unknown,
            problem: sum.problem,
            ..self.done()
        }
    }

    async fn set_aside(&self) -> PairResult {
        let Some(waits) = &self.waits else { return self.done() };
        let (of, left) = waits.set_aside(PATIENCE).await;
        let gone = of - left;
        if gone > 0 {
            let (input, output) = (&*self.input, &*self.output);
            tracing::warn!(
                input,
                output,
                gone,
                "waiting events put aside as dead letters by an operator"
            );
        }
        let problem = (left > 0).then(|| {
            "the others still wait, because there is no room or a request is in flight: see `auditrail status`".to_owned()
        });
        PairResult { gone, of, problem, ..self.done() }
    }

    async fn drop(&self, ids: Option<&[String]>) -> PairResult {
        let _turn = self.letters.turn().await;
        let (gone, unknown) = self.letters.select(ids);
        let of = gone.len() as u64;
        let settled = tokio::task::block_in_place(|| {
            self.letters.settle(&gone, &HashMap::new())?;
            if ids.is_none() { self.letters.drop_damaged() } else { Ok(0) }
        });
        self.tell();
        let dropped =
            of.saturating_sub(self.letters.select(None).0.intersection(&gone).count() as u64);
        let damaged = *settled.as_ref().unwrap_or(&0);
        if dropped + damaged > 0 {
            let (input, output) = (&*self.input, &*self.output);
            let ids = ids.map(|ids| ids.join(" "));
            tracing::warn!(
                input,
                output,
                dropped,
                damaged,
                ids,
                "dead letters dropped by an operator"
            );
        }
        let problem =
            settled.err().map(|error| format!("cannot change the dead letters on disk: {error}"));
        PairResult { gone: dropped, damaged, of, unknown, problem, ..self.done() }
    }
}

/// Answers the requests that come through the agent's socket.
pub(crate) async fn answer_letters(
    boxes: Arc<[DeadLetterControl]>,
    mut asked: mpsc::Receiver<ControlCall>,
) {
    while let Some(ControlCall { question, answers }) = asked.recv().await {
        let boxes = Arc::clone(&boxes);
        tokio::spawn(async move {
            let (say, mut said) = mpsc::channel(16);
            let work = async move {
                match serde_json::from_value(question) {
                    Ok(asking) => serve(&boxes, &asking, &say).await,
                    Err(error) => {
                        let error = format!("the agent does not understand this: {error}");
                        let _ = say.send(ControlReply::Failed { error }).await;
                    }
                }
            };
            let pass_on = async {
                loop {
                    let next = match tokio::time::timeout(WORD, said.recv()).await {
                        Ok(Some(next)) => next,
                        Ok(None) => return,
                        Err(_) => ControlReply::Working,
                    };
                    let Ok(line) = serde_json::to_value(&next) else { return };
                    if answers.send(line).await.is_err() {
                        // Nobody reads the replies. The work notices it with its next reply.
                        return said.close();
                    }
                }
            };
            tokio::join!(work, pass_on);
        });
    }
}

/// Carries out a request, pair by pair.
pub(crate) async fn serve(
    boxes: &[DeadLetterControl],
    asking: &ControlRequest,
    say: &mpsc::Sender<ControlReply>,
) {
    let (ControlRequest::Resend { which, .. }
    | ControlRequest::Drop { which }
    | ControlRequest::SetAside { which }) = asking;
    let ids = which.ids.as_deref();
    let fits = |letterbox: &&DeadLetterControl| {
        pair_matches((&which.input, &which.output), &letterbox.input, &letterbox.output)
    };
    for letterbox in boxes.iter().filter(fits) {
        let done = match asking {
            ControlRequest::Resend { patience, .. } => {
                letterbox.resend(ids, Duration::from_secs(*patience), say).await
            }
            ControlRequest::Drop { .. } => letterbox.drop(ids).await,
            ControlRequest::SetAside { .. } => letterbox.set_aside().await,
        };
        if say.send(ControlReply::Pair(done)).await.is_err() {
            return;
        }
    }
    let _ = say.send(ControlReply::End).await;
}

/// Whether the `--input` and `--output` of the command line select a pair.
pub(crate) fn pair_matches(
    which: (&Option<String>, &Option<String>),
    input: &str,
    output: &str,
) -> bool {
    which.0.as_deref().is_none_or(|name| name == input)
        && which.1.as_deref().is_none_or(|name| name == output)
}
