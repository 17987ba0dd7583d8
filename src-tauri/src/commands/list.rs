// The one list of commands. The build script makes a permission of each, `lib.rs` registers each as a
// handler, and tests compare it with `capabilities/inbox.json` and with what the UI calls. Included by path, hence no items
// other than the macro and no inner comments of documentation.

/// Calls the macro `$then` with every command as `module::name`.
macro_rules! with_commands {
    ($then:ident) => {
        $then! {
            approvals::list_approvals,
            approvals::get_approval,
            approvals::decide_approval,
            approvals::cancel_approval,
            flows::list_flows,
            flows::get_flow,
            flows::import_flow,
            flows::replace_flow,
            flows::delete_flow,
            flows::create_webhook_secret,
            flows::delete_webhook_secret,
            flows::pick_flow_file,
            flows::move_flow_secrets,
            flows::get_flow_policy,
            flows::set_flow_policy,
            flows::change_flow_schedule,
            flows::start_flow,
            executions::list_executions,
            executions::get_execution,
            executions::explain_execution,
            executions::continue_execution,
            executions::cancel_execution,
            variables::list_variables,
            variables::set_variable,
            variables::delete_variable,
            connections::list_connections,
            connections::set_connection,
            connections::delete_connection,
            callbacks::list_callbacks,
            callbacks::get_callback,
            callbacks::redeliver_callback,
            settings::get_settings,
            settings::change_settings,
            settings::test_callback,
            settings::test_notification,
            status::get_status
        }
    };
}
