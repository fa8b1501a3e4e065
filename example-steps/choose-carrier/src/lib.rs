//! Finds who brings a parcel to a country: the setting `carriers` names one for each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stepcell_sdk::{Context, Failure, Schema, Step, json};

/// A parcel.
#[derive(Deserialize, Schema)]
pub struct Parcel {
    /// Where it shall go, as a code of two letters.
    pub country: String,
}

/// On whose way it is.
#[derive(Debug, PartialEq, Serialize, Schema)]
pub struct Shipment {
    /// Who brings it.
    pub carrier: String,
    /// Where it goes.
    pub country: String,
}

/// The step.
pub struct ChooseCarrier;

impl Step for ChooseCarrier {
    type Input = Parcel;
    type Output = Shipment;

    fn execute(parcel: Parcel, ctx: &mut Context) -> Result<Shipment, Failure> {
        let mut carriers: BTreeMap<String, String> = ctx.config("carriers")?.unwrap_or_default();
        let Some(carrier) = carriers.remove(&parcel.country) else {
            let message = format!("Nobody brings parcels to {}.", parcel.country);
            return Err(Failure::new("no-carrier", message).details(json!({ "country": parcel.country })));
        };
        Ok(Shipment { carrier, country: parcel.country })
    }
}

stepcell_sdk::export!(ChooseCarrier);

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_sdk::MockContext;

    #[test]
    fn a_country_without_a_carrier_is_a_failure() {
        let mut ctx = MockContext::new().with_config("carriers", json!({ "IS": "northmail" }));
        let mut choose = |country: &str| ChooseCarrier::execute(Parcel { country: country.to_owned() }, &mut ctx);

        assert_eq!(choose("IS").unwrap().carrier, "northmail");
        assert_eq!(choose("AQ").unwrap_err().code, "no-carrier");
    }
}
