export function serveMock(): Promise<{ url: string; close: () => Promise<void> }>;
