from pydantic import BaseModel


class NewBook(BaseModel):
    name: str
    author: str


class Book(NewBook):
    id: int

    class Config:
        orm_mode = True
