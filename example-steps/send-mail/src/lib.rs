//! Writes a mail: the setting `subject` is what it says, the context value that `to_key` names is whom it is for.
//!
//! Nothing leaves a cell, so the mail is kept in the context, under a key of the step's own.

use serde::Serialize;
use stepcell_sdk::{Context, Failure, Schema, Step, Value};

/// A mail.
#[derive(Debug, PartialEq, Serialize, Schema)]
pub struct Mail {
    /// Whom it is for.
    pub to: String,
    /// What it says.
    pub subject: String,
}

/// The step.
pub struct SendMail;

impl Step for SendMail {
    type Input = Value;
    type Output = Mail;

    fn execute(_: Value, ctx: &mut Context) -> Result<Mail, Failure> {
        let to_key: String = ctx.config("to_key")?.unwrap_or_else(|| "email".to_owned());
        let no_address = || Failure::new("no-address", format!("The context has no `{to_key}` to send a mail to."));
        let to = ctx.get(&to_key)?.ok_or_else(no_address)?;
        let mail = Mail { to, subject: ctx.config("subject")?.unwrap_or_default() };
        ctx.set(&format!("mail/{}", ctx.info().step_name), &mail)?;
        Ok(mail)
    }
}

stepcell_sdk::export!(SendMail);

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_sdk::{MockContext, json};

    #[test]
    fn a_mail_goes_to_whom_the_context_names() {
        let mut ctx = MockContext::new().with_config("subject", "Hello").with_value("email", "ada@example.com");

        SendMail::execute(Value::Null, &mut ctx).unwrap();

        assert_eq!(ctx.written("mail/step"), Some(json!({ "to": "ada@example.com", "subject": "Hello" })));
    }

    #[test]
    fn a_mail_for_nobody_is_a_failure() {
        assert_eq!(SendMail::execute(Value::Null, &mut MockContext::new()).unwrap_err().code, "no-address");
    }
}
