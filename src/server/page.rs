//! The page at `/`: the status for people, complete without scripts, fonts or anything loaded from elsewhere.
//!
//! Every value is escaped by [`Escaped`]; only the markup of this file and its style sheet are trusted.

use std::fmt::{self, Write as _};

use super::view;
use crate::telemetry::{GapSeen, InputView, PairState, PairView, Snapshot, Time, human};

const STYLE: &str = include_str!("page.css");

/// HTML-escapes a value: nothing in it is markup, neither in an element nor in a quoted attribute.
struct Escaped<T>(T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.to_string().chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => f.write_char(c),
        })
    }
}

/// The whole page.
pub(super) fn html(snapshot: &Snapshot) -> String {
    let mut page = String::with_capacity(16 << 10);
    let _ = write(&mut page, snapshot); // Writing to a String cannot fail.
    page
}

fn write(page: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let (mood, word) = if snapshot.ready { ("good", "Ready") } else { ("bad", "Not ready") };
    let dot = if snapshot.ready { "%231a9c5b" } else { "%23d63a3a" };
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"refresh\" content=\"5\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>\
         <circle cx='8' cy='8' r='7' fill='{dot}'/></svg>\">\n\
         <title>{word}: {node}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>auditrail</h1>\n<p class=\"who\"><b>{node}</b>",
        node = Escaped(&snapshot.node),
    )?;
    if let Some(cluster) = &snapshot.cluster {
        write!(page, "<span>cluster {}</span>", Escaped(cluster))?;
    }
    writeln!(
        page,
        "<span>up {}</span><span>version {}</span></p>\n<p class=\"badge {mood}\">{word}</p>\n</header>\n<main>",
        human::duration(snapshot.taken.since(snapshot.started)),
        Escaped(&snapshot.version),
    )?;
    if !snapshot.reasons.is_empty() {
        page.push_str("<section class=\"reasons\" aria-label=\"Why it is not ready\">\n<ul>\n");
        snapshot
            .reasons
            .iter()
            .try_for_each(|reason| writeln!(page, "<li>{}</li>", Escaped(reason)))?;
        page.push_str("</ul>\n</section>\n");
    }
    remark(page, snapshot.reload_problem.clone())?;
    page.push_str("<h2>Delivery</h2>\n<div class=\"cards\">\n");
    snapshot.pairs.iter().try_for_each(|pair| pair_card(page, pair, snapshot.taken))?;
    page.push_str("</div>\n<h2>Followed logs</h2>\n<div class=\"cards\">\n");
    snapshot.inputs.iter().try_for_each(|input| input_card(page, input, snapshot.taken))?;
    page.push_str("</div>\n</main>\n");
    footer(page, snapshot)
}

fn pair_card(page: &mut String, pair: &PairView, now: Time) -> fmt::Result {
    let mood = match pair.state {
        PairState::Running => "good",
        PairState::Retrying { .. } | PairState::Draining | PairState::NotRunning => "warn",
        PairState::Stopped { .. } => "bad",
    };
    writeln!(
        page,
        "<article class=\"{mood}\">\n<h3>{} <i aria-label=\"to\">→</i> {}</h3><span class=\"state\">{}</span>",
        Escaped(&pair.input),
        Escaped(&pair.output),
        view::pair_state(&pair.state)
    )?;
    remark(page, view::pair_remark(pair, now))?;
    let mood = if pair.trail.whole { "good" } else { "bad" };
    writeln!(page, "<p class=\"trail {mood}\">{}</p>", Escaped(&pair.trail))?;
    page.push_str("<dl>\n");
    fact(page, "Delivered", &human::count(pair.delivered))?;
    fact(page, "Lag", &view::lag(pair))?;
    fact(page, "Waiting", &human::size(pair.lag_bytes))?;
    if pair.time_to_loss_seconds.is_some() {
        fact(page, "Loss in", &view::loss_in(pair))?;
    }
    fact(page, "Last success", &Ago(pair.last_success, now))?;
    fact(page, "In flight", &human::count(pair.in_flight))?;
    if !pair.gaps.is_empty() {
        fact(page, "Gaps", &view::gaps(pair))?;
    }
    if pair.refused > 0 || pair.dead_letter_bytes > 0 {
        fact(page, "Refused", &human::count(pair.refused))?;
        fact(page, "Dead letters", &view::letters(pair))?;
    }
    if pair.dropped > 0 {
        fact(page, "Dropped", &human::count(pair.dropped))?;
    }
    let retries: u64 = pair.retries.iter().map(|(_, n)| n).sum();
    if retries > 0 {
        fact(page, "Retries", &human::count(retries))?;
    }
    page.push_str("</dl>\n");
    if let Some(cursor) = &pair.cursor {
        write!(
            page,
            "<p class=\"cursor\" title=\"generation {}\"><span>Acknowledged up to</span> <code>{}</code>",
            Escaped(&cursor.generation),
            Escaped(view::place(cursor))
        )?;
        if let Some(time) = cursor.event_time {
            write!(page, " <time>{}</time>", Escaped(format_args!("{time:.3}")))?;
        }
        page.push_str("</p>\n");
    }
    gap_list(page, &pair.last_gaps)?;
    page.push_str("</article>\n");
    Ok(())
}

/// The last gaps, the latest first.
fn gap_list(page: &mut String, gaps: &[GapSeen]) -> fmt::Result {
    if gaps.is_empty() {
        return Ok(());
    }
    page.push_str("<details><summary>Last gaps</summary>\n<ul>\n");
    gaps.iter().rev().try_for_each(|gap| writeln!(page, "<li>{}</li>", Escaped(gap)))?;
    page.push_str("</ul>\n</details>\n");
    Ok(())
}

fn input_card(page: &mut String, input: &InputView, now: Time) -> fmt::Result {
    let mood = match input.findings.first() {
        None => "good",
        Some(finding) if finding.is_failure() => "bad",
        Some(_) => "warn",
    };
    writeln!(
        page,
        "<article class=\"{mood}\">\n<h3>{}</h3><span class=\"state\">{}</span>",
        Escaped(&input.name),
        view::input_state(&input.state)
    )?;
    view::input_remarks(input).try_for_each(|text| remark(page, Some(text)))?;
    page.push_str("<dl>\n");
    fact(page, "Events", &human::count(input.events))?;
    fact(page, "Read", &human::size(input.bytes))?;
    fact(page, "Last event", &Ago(input.last_event, now))?;
    fact(page, "Backups", &human::count(input.backups))?;
    if input.hold_bytes > 0 {
        fact(page, "Held", &human::size(input.hold_bytes))?;
    }
    fact(page, "Watched by", &input.watch)?;
    let odd = [
        ("Torn lines", input.torn_lines),
        ("Over-long lines", input.over_long_lines),
        ("Unreadable lines", input.unreadable_lines),
        ("NUL bytes", input.hole_bytes),
    ];
    for (name, n) in odd.into_iter().filter(|&(_, n)| n > 0) {
        fact(page, name, &human::count(n))?;
    }
    page.push_str("</dl>\n</article>\n");
    Ok(())
}

fn footer(page: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let disk = &snapshot.disk;
    write!(
        page,
        "<footer>\n<p>Checkpoint saved {}<span>{} in the state directory</span><span>as of {}</span></p>\n\
         <nav><a href=\"metrics\">metrics</a> <a href=\"readyz?verbose\">readyz</a> \
         <a href=\"livez\">livez</a> <a href=\"status\">status as JSON</a></nav>\n</footer>\n</body>\n</html>\n",
        Escaped(Ago(disk.checkpoint_saved, snapshot.taken)),
        Escaped(human::size(disk.state_bytes)),
        Escaped(format_args!("{:.0}", snapshot.taken)),
    )
}

struct Ago(Option<Time>, Time);

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&view::ago(self.0, self.1))
    }
}

fn fact(page: &mut String, name: &str, value: &dyn fmt::Display) -> fmt::Result {
    writeln!(page, "<div><dt>{}</dt><dd>{}</dd></div>", Escaped(name), Escaped(value))
}

fn remark(page: &mut String, remark: Option<String>) -> fmt::Result {
    remark.map_or(Ok(()), |remark| writeln!(page, "<p class=\"remark\">{}</p>", Escaped(remark)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::tests::{at, busy};
    use crate::telemetry::{FindingKind, Identity, InputFinding, Telemetry};
    use std::time::Duration;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn the_page_leads_with_what_is_wrong_and_shows_each_pipeline_with_its_cursor() {
        let page = html(&busy().snapshot(at(60), MINUTE));
        let wrong =
            page.find("<li>output search of input apiserver has taken nothing for 2m 5s").unwrap();
        let cards = page.find("<h2>Delivery</h2>").unwrap();
        assert!(wrong < cards);
        for shown in [
            "<title>Not ready: cp-1</title>",
            "<dd>412,300</dd>",
            "<dd>88 KiB</dd>",
            "<code>audit.log at 48,211,033</code>",
            "<span class=\"state\">stopped</span>",
            "<meta http-equiv=\"refresh\" content=\"5\">",
        ] {
            assert!(page.contains(shown), "no {shown} in\n{page}");
        }
    }

    #[test]
    fn nothing_that_a_back_end_or_an_operator_wrote_becomes_markup() {
        let evil = "<script>alert(1)</script>\"' onload=x &amp;";
        let identity = Identity { node: evil.into(), cluster: Some(evil.into()), version: "0" };
        let telemetry = Telemetry::new(identity);
        let finding = InputFinding::failure(FindingKind::LogUnreadable, evil, evil);
        telemetry.input(evil).set_finding(finding.kind, Some(finding));
        let pair = telemetry.pair(evil, evil);
        pair.stopped(at(0), evil, evil);
        pair.set_cursor(crate::telemetry::DeliveredUpTo {
            generation: [0; 16],
            file: Some(evil.into()),
            offset: 0,
            event_time: None,
        });
        let page = html(&telemetry.snapshot(at(1), MINUTE));
        assert!(!page.contains("<script"), "{page}");
        assert!(!page.contains("\"' onload"), "{page}");
        assert!(
            page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39; onload=x &amp;amp;"),
            "{page}"
        );
    }

    #[test]
    fn the_page_asks_nobody_for_anything() {
        let page = html(&busy().snapshot(at(60), MINUTE));
        let without_namespace = page.replace("http://www.w3.org/2000/svg", "");
        for word in ["http://", "https://", "<script", "@import", "url(", "src="] {
            assert!(!without_namespace.contains(word), "{word}");
        }
    }
}
