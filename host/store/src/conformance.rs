//! Each promise of [`WorkflowStore`](crate::WorkflowStore) as a public test function, which every back end runs as its own test.
//!
//! [`conformance_suite!`](crate::conformance_suite) makes them tests of the module that it is called in.

pub mod access;
pub mod bounds;
pub mod catalog;
#[cfg(unix)]
pub mod disk;
pub mod feed;
pub mod fixture;
pub mod guard;
pub mod history;
pub mod instances;
pub mod letters;
pub mod lists;
pub mod messages;
pub mod owners;
pub mod records;
pub mod results;
pub mod scheduling;
pub mod tasks;
pub mod upkeep;
pub mod webhooks;

pub use crate::sqlite::{forge_history, mark_as_newer};

/// Makes every promise a test.
///
/// Takes a function that returns an empty `Arc<dyn WorkflowStore>` and whatever must live as long as it.
#[macro_export]
macro_rules! conformance_suite {
    ($make:path) => {
        $crate::conformance_suite! { $make;
            catalog: a_component_reads_back_by_version_and_by_digest,
            catalog: what_a_component_exports_is_kept,
            catalog: a_component_is_registered_once_and_never_changed,
            catalog: components_are_listed_by_name_and_then_by_semantic_version,
            catalog: a_definition_reads_back_by_version_and_by_id,
            catalog: a_definition_is_registered_once_and_never_changed,
            catalog: definitions_are_listed_in_semantic_version_order,
            catalog: a_definition_is_deactivated_and_activated_again,
            catalog: a_definition_that_instances_refer_to_is_not_deleted,
            catalog: definitions_are_listed_without_their_documents_too,
            catalog: a_workflow_has_no_more_versions_than_it_may,
            owners: each_owner_has_names_of_its_own,
            owners: what_is_changed_of_one_owner_stays_with_the_others,
            owners: a_tenant_sees_its_own_and_the_shared_ones_of_other_names,
            owners: bytes_are_shared_and_a_digest_is_found_with_whoever_may_see_it,
            owners: definitions_and_components_are_walked_page_by_page,
            owners: a_walk_tells_each_once_though_others_come_and_go,
            owners: the_shared_one_stands_before_a_tenants_of_the_same_version,
            instances: an_instance_reads_back_with_every_field,
            instances: an_instance_is_read_as_of_its_last_transition,
            instances: what_is_not_there_is_none_or_empty,
            instances: a_stale_transition_is_refused_and_changes_nothing,
            instances: a_second_start_with_the_same_key_names_the_first,
            instances: tenants_do_not_share_idempotency_keys,
            instances: a_start_on_an_unknown_definition_is_refused,
            instances: many_instances_are_committed_at_once,
            instances: a_refused_transition_takes_no_neighbour_with_it,
            instances: of_racing_transitions_exactly_one_wins,
            instances: context_values_are_replaced_and_removed,
            results: only_results_that_are_referred_to_are_loaded,
            results: results_that_a_retry_or_an_undoing_needs_are_loaded,
            results: a_group_that_runs_stands_for_its_input,
            results: a_group_that_has_ended_stands_for_its_output,
            results: a_group_that_nothing_came_to_has_no_result_and_is_no_damage,
            results: a_result_that_is_missing_is_damage,
            messages: a_kept_message_is_loaded_until_it_is_removed,
            messages: changes_of_one_message_hold_in_their_order,
            messages: instances_do_not_share_messages,
            messages: a_refused_transition_changes_no_message,
            letters: letters_of_a_first_and_of_a_later_transition_read_back,
            letters: letters_are_listed_oldest_first_and_no_more_than_asked_for,
            letters: a_list_of_letters_is_bounded,
            letters: letters_are_removed_by_key_as_often_as_one_likes,
            letters: the_key_of_a_letter_is_never_used_again,
            letters: a_refused_transition_leaves_no_letter,
            lists: instances_are_listed_newest_first_in_pages,
            lists: instances_are_walked_from_place_to_place_though_others_are_started,
            lists: instances_are_filtered_by_every_part_at_once,
            lists: the_children_of_an_instance_are_listed_without_their_own,
            lists: executions_are_listed_in_the_order_of_their_end,
            lists: failed_executions_are_listed_latest_first,
            tasks: a_task_reads_back_with_every_field_and_is_replaced_by_id,
            tasks: tasks_are_listed_by_due_time_and_those_without_last,
            tasks: tasks_are_walked_from_place_to_place_though_others_come,
            tasks: tasks_are_filtered_by_every_part,
            tasks: only_pending_tasks_are_loaded_with_their_instance,
            history: history_is_read_in_order_and_after_a_number,
            history: positions_grow_over_all_instances,
            history: events_read_back_as_they_were_told,
            feed: a_window_has_the_rows_that_match_and_whose_they_are,
            feed: whoever_goes_on_where_a_window_ends_misses_nothing,
            feed: a_window_passes_over_no_more_than_its_length,
            guard: the_guard_reads_back_and_every_change_raises_its_revision,
            guard: a_component_has_one_signature_of_a_key_and_no_more_than_may_be,
            guard: a_block_stays_with_its_first_reason_until_it_is_removed,
            guard: faults_of_a_component_are_counted_until_it_may_run_again,
            guard: tenants_do_not_share_secrets,
            guard: what_attempts_used_is_summed_by_tenant_and_day,
            access: a_tenant_is_kept_once_and_changed_in_place,
            access: tenants_are_listed_by_id_in_pages,
            access: a_key_reads_back_by_prefix_and_by_id_and_no_two_share_either,
            access: keys_are_listed_newest_first_and_by_whose_they_are,
            access: a_key_is_revoked_once_and_its_last_use_only_moves_on,
            access: the_revision_of_access_grows_with_each_change_and_with_no_use,
            access: a_repeated_request_is_told_what_became_of_the_first,
            access: a_request_that_came_to_nothing_frees_its_key,
            access: claims_are_forgotten_by_their_age,
            access: of_racing_requests_with_one_key_exactly_one_is_new,
            bounds: no_more_keys_of_a_tenant_let_anybody_in_than_there_is_room_for,
            bounds: keys_that_let_nobody_in_make_room_the_oldest_first,
            bounds: a_tenant_has_no_more_secrets_than_there_is_room_for_and_changes_those_it_has,
            bounds: secrets_are_listed_by_whose_they_are_in_pages,
            bounds: subscriptions_are_bounded_for_each_tenant_and_for_the_platform,
            bounds: answers_of_one_tenant_have_so_much_room_until_they_are_forgotten,
            bounds: old_records_of_the_audit_log_go_and_numbers_stay,
            bounds: of_racing_changes_of_one_tenant_none_is_lost,
            bounds: of_racing_changes_of_one_subscription_none_is_lost,
            bounds: of_racing_subscriptions_no_more_are_kept_than_there_is_room_for,
            records: a_record_of_the_audit_log_reads_back_with_every_field,
            records: the_audit_log_is_filtered_by_every_part_and_paged_newest_first,
            records: what_an_instance_keeps_is_summed_with_each_transition,
            records: what_a_pruned_instance_kept_is_kept_no_more,
            records: what_a_tenant_has_is_counted_without_that_of_others,
            records: stats_count_what_there_is_of_one_tenant_or_of_all,
            upkeep: each_transition_is_linked_to_the_one_before,
            upkeep: links_are_listed_instance_by_instance_and_page_by_page,
            upkeep: a_finished_instance_goes_with_all_that_it_had,
            upkeep: only_what_a_filter_matches_goes,
            upkeep: a_family_goes_only_once_all_of_it_is_finished,
            upkeep: an_instance_stays_as_long_as_a_letter_is_about_it,
            upkeep: no_position_is_given_twice_whatever_goes,
            webhooks: a_subscription_reads_back_and_every_change_raises_the_revision,
            webhooks: subscriptions_are_listed_by_id_and_tenant,
            webhooks: a_subscription_tells_of_what_is_committed_once_it_is_active,
            webhooks: deliveries_are_made_once_of_each_stretch_of_history,
            webhooks: pending_deliveries_are_listed_by_the_time_of_their_next_attempt,
            webhooks: deliveries_are_listed_latest_first_and_by_status_in_pages,
            webhooks: a_delivery_or_all_dead_ones_are_sent_anew,
            webhooks: a_delivery_that_waits_is_sent_anew_at_once_and_its_attempts_still_count,
            webhooks: what_waits_for_a_subscription_is_dead_once_that_is_not_active,
            webhooks: no_more_deliveries_wait_or_are_kept_than_there_is_room_for,
            scheduling: running_instances_are_listed_by_id,
            scheduling: due_instances_are_listed_the_longest_waiting_first,
            scheduling: an_instance_that_is_finished_or_paused_is_never_due,
        }
    };
    ($make:path; $($module:ident: $name:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() -> Result<(), $crate::StoreError> {
                let (store, _guard) = $make();
                $crate::conformance::$module::$name(store).await
            }
        )+
    };
}
