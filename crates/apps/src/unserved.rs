//! The condition that names what an object asks for and a later version brings. Pure.

use api_types::contract::apps_reasons::refused::NOT_SERVED_YET;
use api_types::contract::conditions::UNSUPPORTED;
use controller_kit::conditions::{self as kit, Status};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Names all of `asked`; the condition goes when there is nothing to name.
pub fn store(list: &mut Vec<Condition>, asked: &[String], generation: Option<i64>, now: Timestamp) {
    if asked.is_empty() {
        list.retain(|c| c.type_ != UNSUPPORTED);
    } else {
        kit::set(list, UNSUPPORTED, Status::True, NOT_SERVED_YET, asked.join(", "), generation, now);
    }
}
