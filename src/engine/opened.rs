//! The steps that verbs share: the databases are opened, the source is inspected, and a plan is made.
//!
//! A run has steps of its own in `run`, because it takes locks. Called by the verbs `plan`, `preflight`, `verify` and `calibrate`, which
//! change nothing, and by those that concern the target and its ledger only.

use super::Context;
use super::connect::{Endpoints, Source};
use super::programs::{self, Majors, Programs};
use crate::catalog::Catalog;
use crate::config::{Config, PlanOptions, ScopeOptions, TargetOptions};
use crate::error::{Result, Side};
use crate::ledger::Ledger;
use crate::pg::Session;
use crate::pg::client::tool::Tools;
use crate::plan::document::Document;
use crate::plan::{Plan, PlanDraft};

/// Both databases, opened for a verb that changes nothing.
pub struct Opened {
    pub source: Source,
    pub target: Session,
    /// The client programs; none where only rows are moved.
    pub programs: Option<Programs>,
}

/// Opens both databases; the session on the target shows the `purpose`. The programs are those that wrote the definitions of `plan`.
pub async fn open(config: &Config, purpose: &str, plan: Option<&Plan>, context: &Context) -> Result<Opened> {
    let Config { connection, scope, .. } = config;
    let endpoints = Endpoints::new(connection, context)?;
    let opening = async {
        let found = programs::find(scope, connection, context);
        let source = Source::open(&endpoints.source, connection.lock_timeout);
        let target = Session::open(&endpoints.target, Side::Target, purpose);
        // Where several of them fail, the error is always the same one.
        let (found, source, target) = tokio::join!(Box::pin(found), Box::pin(source), Box::pin(target));
        Ok((found?, source?, target?))
    };
    let (found, source, target) = context.step("connect", opening).await?;
    let majors = Majors::of(&source.leader, &target, plan);
    let programs = found.map(|found| programs::choose(&found, majors)).transpose()?;
    Ok(Opened { source, target, programs })
}

/// Opens the target, and names its ledger, which may not exist; the session shows the `purpose`.
pub async fn target(options: TargetOptions<'_>, purpose: &str, context: &Context) -> Result<(Session, Ledger)> {
    let endpoints = Endpoints::new(options.connection, context)?;
    let target = Session::open(&endpoints.target, Side::Target, purpose).await?;
    Ok((target, Ledger::new(&options.ledger.schema)))
}

/// Reads what the source contains.
pub async fn inspect(
    source: &Source,
    scope: &ScopeOptions,
    tools: Option<&Tools>,
    context: &Context,
) -> Result<Catalog> {
    context.step("inspect", source.catalog(scope, tools)).await
}

/// Makes the plan of what was inspected, without its text.
pub async fn draft(
    source: &Source,
    catalog: &Catalog,
    options: PlanOptions<'_>,
    context: &Context,
) -> Result<PlanDraft> {
    context.step("plan", source.plan(catalog, options)).await
}

/// Makes the plan of what was inspected.
pub async fn plan(source: &Source, catalog: &Catalog, options: PlanOptions<'_>, context: &Context) -> Result<Document> {
    Ok(draft(source, catalog, options, context).await?.finish())
}
