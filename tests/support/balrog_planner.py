"""A planning agent as people write them for BALROG, against its base class, prompt builder and client.

The tests copy this file out of the project: `balrog` is BALROG's package, or what stands in for it.
"""

import re

import balrog.prompt_builder.history as prompts
from balrog.agents.base import BaseAgent
from balrog.client import LLMClientWrapper
from balrog.prompt_builder import HistoryPromptBuilder

FORM = "First say PLAN: and your plan, or KEEP. Then, on a line of its own, ACTION: and one action."


class Planner(BaseAgent):
    """Keeps a plan between steps, and lets the model look over it again at every third."""

    def __init__(self, client_factory: LLMClientWrapper, prompt_builder: HistoryPromptBuilder):
        super().__init__(client_factory, prompt_builder)
        self.plan = None
        self.tokens = 0

    def act(self, obs, prev_action=None):
        if prev_action:
            self.prompt_builder.update_action(prev_action)
        self.prompt_builder.update_observation(obs)
        messages = self.prompt_builder.get_prompt()
        messages[-1].content += f"\n\nPlan so far: {self.plan}\n{FORM}"
        response = self.client.generate(messages)
        self.tokens += response.input_tokens + response.output_tokens
        plan, action = self.parse(response.completion)
        if plan != "KEEP":
            self.plan = plan
            self.prompt_builder.update_reasoning(plan)
        if len(self.prompt_builder.get_prompt()) % 3 == 0:
            self.plan = self.second_thoughts(messages)
        return response._replace(reasoning=self.plan, completion=action)

    def second_thoughts(self, messages):
        from balrog.prompt_builder.history import Message  # while an episode runs

        question = Message(role="user", content=f"Is this plan good? {self.plan}")
        assert isinstance(question, prompts.Message)
        return self.client.generate([*messages, question]).completion

    @staticmethod
    def parse(text):
        plan = re.search(r"PLAN:\s*(.*?)(?=\nACTION:|\Z)", text, re.DOTALL)
        action = re.search(r"ACTION:\s*(.*)", text)
        return plan.group(1).strip() if plan else "KEEP", action.group(1).strip() if action else None
