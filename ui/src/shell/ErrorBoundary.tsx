import { Component, type ReactNode } from "react";

import { Failure } from "../components/States";

/** A fault of the page itself: said, not a white window. What waits is safe in the app. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { error: unknown }> {
  override state: { error: unknown } = { error: null };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render() {
    if (this.state.error === null) return this.props.children;
    return (
      <Failure
        title="This page has a fault; nothing that waits is lost"
        error={this.state.error}
        retry={() => this.setState({ error: null })}
      />
    );
  }
}
