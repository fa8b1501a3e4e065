//! Why a step was canceled: its event does not say, what happened in the same transition does.

use super::past::Trail;
use crate::history::{Event, HistoryEntry};
use crate::id::ExecutionNumber;

/// Why an execution was canceled in a transition, in words.
pub(super) fn reason(trail: &Trail<'_>, entry: &HistoryEntry, execution: ExecutionNumber) -> String {
    if let Some(whole) = trail.whole_of(execution)
        && let Some(reason) = with_whole(trail, entry, whole)
    {
        return reason;
    }
    if let Some(step) = entry.events.iter().find_map(|event| trail.terminating(event)) {
        return format!("`{step}` ended the workflow");
    }
    trail.end_after(entry).unwrap_or_else(|| "its branch ended".to_owned())
}

/// Why the parts of a whole were canceled in a transition, if that is the reason.
fn with_whole(trail: &Trail<'_>, entry: &HistoryEntry, whole: ExecutionNumber) -> Option<String> {
    let name = trail.name_of(whole);
    entry.events.iter().find_map(|event| match event {
        Event::StepFailed { execution, failure, .. } if *execution == whole => {
            Some(format!("`{name}` failed: {}", failure.message))
        }
        Event::StepCompleted { execution, .. } if *execution == whole => {
            Some(format!("enough of `{name}` had succeeded"))
        }
        Event::StepActivated { step, part_of: Some(of), .. } if *of == whole && trail.is_callback(step) => {
            Some(format!("enough of `{name}` had succeeded"))
        }
        Event::StepCanceled { execution, .. } if *execution == whole => Some(reason(trail, entry, whole)),
        _ => None,
    })
}
