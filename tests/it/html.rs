//! The page: well-formed, self-contained, and nothing on it runs.

use crate::plot::check_well_formed;
use melgrad::report::html::{HtmlTable, Mistake, Picture, Report};
use melgrad::report::plot::Plot;
use melgrad::report::plot::epoch_times::{EpochTimes, ModelTime};

const NASTY: &str = "<script>alert(\"1\")</script> & 'co'";
const ESCAPED: &str = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;co&#39;";

fn full() -> Report {
    let table =
        || HtmlTable { columns: vec!["model".into(), NASTY.into()], rows: vec![vec![NASTY.into(); 2]], note: NASTY.into() };
    let models = vec![ModelTime { name: NASTY.into(), median: 0.23, quartiles: [0.2, 0.3] }];
    let svg = EpochTimes { title: NASTY.into(), note: NASTY.into(), models }.svg();
    let pair = || [NASTY.to_string(), NASTY.to_string()];
    Report {
        title: NASTY.into(),
        conclusion: vec![NASTY.into(), "Too few groups to tell.".into()],
        headline: Some(table()),
        tables: vec![(NASTY.into(), table())],
        plots: vec![Picture { caption: NASTY.into(), svg }],
        classes: Some(table()),
        mistakes: vec![Mistake { path: NASTY.into(), label: NASTY.into(), prediction: NASTY.into(), probability: 0.51 }],
        more_mistakes: 1_200,
        settings: vec![pair()],
        environment: vec![pair()],
    }
}

/// The page with its void elements closed, as XML would have it.
pub fn as_xml(html: &str) -> String {
    let html = html.strip_prefix("<!DOCTYPE html>\n").unwrap();
    html.lines().map(|line| if line.starts_with("<meta ") { line.replace('>', "/>") } else { line.into() } + "\n").collect()
}

#[test]
fn the_page_is_well_formed_whatever_names_are() {
    for report in [full(), Report::default()] {
        check_well_formed(&as_xml(&report.html()));
    }
}

#[test]
fn the_page_has_all_of_it_escaped_and_refers_to_nothing() {
    let html = full().html();
    assert!(!html.contains("<script") && !html.contains("http:") && !html.contains("https:") && !html.contains("url("), "{html}");
    for text in
        ["<h2>Conclusion</h2>", "<p>Too few groups to tell.</p>", "51.0%", "And 1,200 more.", "<svg viewBox", "@media print"]
    {
        assert!(html.contains(text), "{text}: {html}");
    }
    assert!(html.matches(ESCAPED).count() >= 15, "{html}");
}

#[test]
fn what_is_empty_is_left_out() {
    let html = Report { title: "t".into(), ..Report::default() }.html();
    assert!(html.contains("<h1>t</h1>") && !html.contains("<h2>") && !html.contains("<table"), "{html}");
}
