import { choosePlatform } from "./platform";
import { start } from "./start";

void start(choosePlatform());
