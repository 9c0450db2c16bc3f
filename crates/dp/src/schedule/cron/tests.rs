use super::*;
use jiff::{ToSpan, Zoned};
use proptest::prelude::*;

const START: Timestamp = Timestamp::UNIX_EPOCH;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn next(expression: &str, after: &str) -> String {
    let cron = Cron::parse(expression).unwrap_or_else(|e| panic!("{expression}: {e}"));
    cron.next(at(after), START).unwrap().to_string()
}

/// Cases of robfig/cron's documentation and of its rules, by hand.
#[test]
fn slots_are_those_of_the_standard_parser() {
    for (expression, after, slot) in [
        ("* * * * *", "2026-07-09T14:45:00Z", "2026-07-09T14:46:00Z"),
        ("* * * * *", "2026-07-09T14:59:59Z", "2026-07-09T15:00:00Z"),
        ("0/15 * * * *", "2026-07-09T14:45:00Z", "2026-07-09T15:00:00Z"),
        ("5/15 * * * *", "2026-07-09T14:00:00Z", "2026-07-09T14:05:00Z"),
        ("5/15 * * * *", "2026-07-09T14:50:00Z", "2026-07-09T15:05:00Z"),
        ("20-35/15 * * * *", "2026-07-09T14:21:00Z", "2026-07-09T14:35:00Z"),
        ("30 4,16 * * *", "2026-07-09T04:30:00Z", "2026-07-09T16:30:00Z"),
        ("0 18 * * *", "2026-12-31T18:00:00Z", "2027-01-01T18:00:00Z"),
        ("0 18 * * 0", "2026-07-09T00:00:00Z", "2026-07-12T18:00:00Z"),
        ("0 0 * * MON-fri", "2026-07-10T00:00:00Z", "2026-07-13T00:00:00Z"),
        ("0 0 1 Feb,apr ?", "2026-02-01T00:00:00Z", "2026-04-01T00:00:00Z"),
        ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 29 2 *", "2097-01-01T00:00:00Z", "2104-02-29T00:00:00Z"),
        ("0 0 31 * *", "2026-04-01T00:00:00Z", "2026-05-31T00:00:00Z"),
        // Two days given: one of them is enough. A star in either: the other decides.
        ("0 0 1,15 * Sun", "2026-07-13T00:00:00Z", "2026-07-15T00:00:00Z"),
        ("0 0 1,15 * Sun", "2026-07-15T00:00:00Z", "2026-07-19T00:00:00Z"),
        ("0 0 * * Mon", "2026-07-14T00:00:00Z", "2026-07-20T00:00:00Z"),
        ("0 0 1 * ?", "2026-07-14T00:00:00Z", "2026-08-01T00:00:00Z"),
        // `*/n` with a step is no star.
        ("0 0 */10 * Sun", "2026-07-11T00:00:00Z", "2026-07-12T00:00:00Z"),
        ("0 0 1 * */2", "2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z"),
        ("0 0 1 * */1", "2026-07-01T00:00:00Z", "2026-08-01T00:00:00Z"),
        ("@yearly", "2026-07-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("@annually", "2026-07-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("@monthly", "2026-07-01T00:00:00Z", "2026-08-01T00:00:00Z"),
        ("@weekly", "2026-07-09T00:00:00Z", "2026-07-12T00:00:00Z"),
        ("@daily", "2026-07-09T00:00:00Z", "2026-07-10T00:00:00Z"),
        ("@midnight", "2026-07-09T00:00:01Z", "2026-07-10T00:00:00Z"),
        ("@hourly", "2026-07-09T00:30:00Z", "2026-07-09T01:00:00Z"),
        ("@every 1h30m", "2026-07-09T00:00:00Z", "2026-07-09T01:30:00Z"),
        ("  15   3 * * *  ", "2026-07-09T00:00:00Z", "2026-07-09T03:15:00Z"),
    ] {
        assert_eq!(next(expression, after), slot, "{expression} after {after}");
    }
}

#[test]
fn expressions_that_are_refused_name_the_field_and_the_rule() {
    for (expression, said) in [
        ("", "five fields are expected"),
        ("* * * *", "there are 4"),
        ("0 0 0 * * *", "there are 6"),
        ("60 * * * *", "minute \"60\": 60 is not in 0-59"),
        ("* 24 * * *", "hour \"24\": 24 is not in 0-23"),
        ("* * 0 * *", "day of month \"0\": 0 is not in 1-31"),
        ("* * * 13 *", "month \"13\": 13 is not in 1-12"),
        ("* * * * 7", "day of week \"7\": 7 is not in 0-6"),
        ("* * * foo *", "\"foo\" is no number"),
        ("* * L * *", "\"L\" is no number"),
        ("5-3 * * * *", "5-3 begins after its end"),
        ("*/0 * * * *", "\"0\" is no step"),
        ("1/2/3 * * * *", "\"2/3\" is no step"),
        (", * * * *", "\"\" is no number"),
        ("-1 * * * *", "\"\" is no number"),
        ("+1 * * * *", "\"+1\" is no number"),
        ("0 0 30 2 *", "no such day"),
        ("0 0 31 4,6,9,11 *", "no such day"),
        ("@reboot", "@reboot is not known"),
        ("@every", "@every is not known"),
        ("@every 0s", "the shortest period is 1s"),
        ("@every -5m", "the shortest period is 1s"),
        ("@every soon", "no duration"),
        ("TZ=UTC", "no expression"),
        ("TZ=Europe/Nowhere * * * * *", "time zone \"Europe/Nowhere\" is not known"),
    ] {
        let refused = Cron::parse(expression).err().unwrap_or_else(|| panic!("{expression} was read"));
        assert!(refused.contains(said), "{expression}: {refused}");
    }
}

/// BD37: the prefix is read; the API server refused it beside `timeZone`.
#[test]
fn bd37_a_time_zone_may_stand_before_the_expression() {
    assert_eq!(next("TZ=Asia/Shanghai 0 2 * * *", "2026-07-09T00:00:00Z"), "2026-07-09T18:00:00Z");
    assert_eq!(next("CRON_TZ=America/New_York  30 1 * * *", "2026-07-09T00:00:00Z"), "2026-07-09T05:30:00Z");
    assert_eq!(next("TZ=UTC @daily", "2026-07-09T00:00:00Z"), "2026-07-10T00:00:00Z");
    assert_eq!(next("TZ= 0 2 * * *", "2026-07-09T00:00:00Z"), "2026-07-09T02:00:00Z");
    assert_eq!(next("0 2 * * *", "2026-07-09T00:00:00Z"), "2026-07-09T02:00:00Z", "UTC without a prefix");
}

fn slots(expression: &str, from: &str, to: &str) -> Vec<String> {
    let cron = Cron::parse(expression).unwrap();
    let (mut now, end, mut found) = (at(from), at(to), Vec::new());
    while let Some(slot) = cron.next(now, START).filter(|s| *s <= end) {
        found.push(slot.to_string());
        now = slot;
    }
    found
}

/// New York 2026: 02:00 becomes 03:00 on 8 March (07:00Z), 02:00 becomes 01:00 on 1 November (06:00Z).
#[test]
fn where_clocks_change_no_run_is_lost_and_none_doubled() {
    let (spring, autumn) =
        (("2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"), ("2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"));
    let of = |fields: &str, (from, to): (&str, &str)| slots(&format!("TZ=America/New_York {fields}"), from, to);
    assert_eq!(of("30 2 * * *", spring), ["2026-03-08T07:30:00Z"], "02:30 is left out and runs at 03:30");
    assert_eq!(of("30 2,3 * * *", spring), ["2026-03-08T07:30:00Z"], "and once with the entry of 03:30");
    assert_eq!(of("30 1 * * *", autumn), ["2026-11-01T05:30:00Z"], "01:30 comes twice and runs the first time");
    assert_eq!(of("0 2 * * *", autumn), ["2026-11-01T07:00:00Z"]);
    let hourly = of("@hourly", ("2026-03-08T05:30:00Z", "2026-03-08T08:30:00Z"));
    assert_eq!(hourly, ["2026-03-08T06:00:00Z", "2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z"]);
    let hourly = of("@hourly", ("2026-11-01T04:30:00Z", "2026-11-01T07:30:00Z"));
    assert_eq!(hourly, ["2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z", "2026-11-01T07:00:00Z"]);
    // Lord Howe moves by half an hour; Cairo jumps at midnight.
    assert_eq!(
        slots("TZ=Australia/Lord_Howe 15 2 * * *", "2026-10-03T13:00:00Z", "2026-10-04T13:00:00Z"),
        ["2026-10-03T15:45:00Z"],
        "02:15 is left out and runs at 02:45"
    );
    assert_eq!(
        slots("TZ=Africa/Cairo 0 0 * * *", "2026-04-23T00:00:00Z", "2026-04-24T21:00:00Z"),
        ["2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"],
        "midnight is left out and runs at 01:00"
    );
}

#[test]
fn every_counts_from_its_anchor() {
    let cron = Cron::parse("@every 10m").unwrap();
    let anchor = at("2026-07-09T00:03:07Z");
    assert_eq!(cron.next(anchor, anchor).unwrap(), at("2026-07-09T00:13:07Z"));
    assert_eq!(cron.next(at("2026-07-09T00:13:07Z"), anchor).unwrap(), at("2026-07-09T00:23:07Z"));
    assert_eq!(cron.next(at("2020-01-01T00:00:00Z"), anchor).unwrap(), at("2026-07-09T00:13:07Z"));
    assert_eq!(cron.latest(anchor, at("2036-07-09T00:00:00Z"), anchor).unwrap(), at("2036-07-08T23:53:07Z"));
}

fn field(least: u32, most: u32) -> impl Strategy<Value = String> {
    let number = least..=most;
    let range = (least..=most, least..=most).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b)));
    prop_oneof![
        3 => Just("*".to_owned()),
        3 => number.clone().prop_map(|n| n.to_string()),
        1 => (2u32..20).prop_map(|n| format!("*/{n}")),
        1 => range.clone(),
        1 => (range, 1u32..10).prop_map(|(r, n)| format!("{r}/{n}")),
        1 => (number.clone(), number).prop_map(|(a, b)| format!("{a},{b}")),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    (field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6))
        .prop_map(|(m, h, d, mo, w)| format!("{m} {h} {d} {mo} {w}"))
}

/// A second reading of the rules, minute by minute.
fn by_force(expression: &str, after: Timestamp, most: i64) -> Option<Timestamp> {
    let allowed = |text: &str, value: i8, least: i8, most: i8| {
        text.split(',').any(|part| {
            let (range, step) = part.split_once('/').unwrap_or((part, "1"));
            let (from, to) = match range.split_once('-') {
                _ if range == "*" => (least, most),
                Some((a, b)) => (a.parse().unwrap(), b.parse().unwrap()),
                None => (range.parse().unwrap(), range.parse().unwrap()),
            };
            value >= from && value <= to && (value - from) % step.parse::<i8>().unwrap() == 0
        })
    };
    let parts: Vec<&str> = expression.split(' ').collect();
    let start = after.as_second().div_euclid(60) * 60;
    (1..=most).map(|n| Timestamp::from_second(start + n * 60).unwrap()).find(|at| {
        let t: Zoned = at.to_zoned(TimeZone::UTC);
        let day = allowed(parts[2], t.day(), 1, 31);
        let weekday = allowed(parts[4], t.weekday().to_sunday_zero_offset(), 0, 6);
        let days = if parts[2] == "*" || parts[4] == "*" { day && weekday } else { day || weekday };
        allowed(parts[0], t.minute(), 0, 59)
            && allowed(parts[1], t.hour(), 0, 23)
            && allowed(parts[3], t.month(), 1, 12)
            && days
    })
}

proptest! {
    #[test]
    fn the_next_slot_is_after_and_the_first(text in expression(), second in 1_700_000_000i64..1_900_000_000) {
        let after = Timestamp::from_second(second).unwrap();
        let slot = Cron::parse(&text).unwrap().next(after, START).unwrap();
        prop_assert!(slot > after);
        let minutes = 60 * 24 * 20;
        if let Some(expected) = by_force(&text, after, minutes) {
            prop_assert_eq!(slot, expected, "{}", text);
        } else {
            prop_assert!(slot > after + minutes.minutes());
        }
    }

    #[test]
    fn the_latest_slot_is_the_last_one_found_forwards(text in expression(), second in 1_700_000_000i64..1_900_000_000, back in 0i64..4_000_000) {
        let (last, cron) = (Timestamp::from_second(second).unwrap(), Cron::parse(&text).unwrap());
        let first = Timestamp::from_second(second - back).unwrap();
        let mut expected = None;
        let mut now = first - 1.second();
        while let Some(slot) = cron.next(now, START).filter(|s| *s <= last) {
            expected = Some(slot);
            now = slot;
        }
        prop_assert_eq!(cron.latest(first, last, START), expected, "{}", text);
    }

    #[test]
    fn slots_of_any_zone_go_forward(text in expression(), zone in prop_oneof!["America/New_York", "Africa/Casablanca", "Australia/Lord_Howe", "Pacific/Apia"], second in 1_700_000_000i64..1_900_000_000) {
        let cron = Cron::parse(&format!("TZ={zone} {text}")).unwrap();
        let mut now = Timestamp::from_second(second).unwrap();
        for _ in 0..5 {
            let slot = cron.next(now, START).unwrap();
            prop_assert!(slot > now);
            prop_assert!(cron.is_slot(slot, START));
            now = slot;
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,24}") {
        let _ = Cron::parse(&text);
    }
}
