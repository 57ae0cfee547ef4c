"""Messages to the team about deploys: what they say, who receives them, and how they get there."""
